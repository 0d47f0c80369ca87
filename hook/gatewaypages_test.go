package hook

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/store/storetest"
)

// The pages of testdata/client in a real browser, on another origin than the built program's gateway: they show the
// user's workspaces and a log as it grows, and no key comes to the browser in any way.
func TestGatewayPages(t *testing.T) {
	needClient(t)
	db := storetest.New(t)
	coder := codertest.Start(codertest.ProfileNew)
	t.Cleanup(coder.Close)
	auth := newAuthServer(t, db)
	auth.control = func(what string, a *authAccount) (string, error) { return controlWorkspace(t, what, a, db, coder) }
	page := newLatePage(t)
	auth.hook = startProgram(t,
		"DATABASE_URL="+db.RoleURL("coderhook"),
		"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS="+authtest.SecretA,
		"CODER_URL="+coder.URL,
		"CODER_OWNER_TOKEN="+coder.OwnerToken,
		"SUPABASE_URL="+auth.url,
		"CORS_ORIGINS=http://localhost:"+page.Port(),
		"GATEWAY=on", "KEY_IN_CLAIMS=false",
	)
	buildClient(t)
	gateway := auth.hook + "/coder"
	page.is(t, startPages(t, "SUPABASE_URL="+auth.url, "SUPABASE_ANON_KEY=anon", "GATEWAY_URL="+gateway))
	npm(t, []string{
		"GATEWAY_URL=" + gateway, "SUPABASE_URL=" + auth.url,
		"PAGE_URL=http://localhost:" + page.Port(), "OTHER_PAGE_URL=http://127.0.0.1:" + page.Port(),
		"SOCKET_PATH=/api/v2/notifications/inbox/watch", "SCREENSHOTS=" + t.TempDir(),
	}, "run", "test:pages")
	for _, r := range coder.Requests() {
		if strings.HasSuffix(r.Path, "/keys") || strings.HasSuffix(r.Path, "/keys/tokens") && r.As != "owner" {
			t.Errorf("%s %s came to Coder as %q", r.Method, r.Path, r.As)
		}
	}
	if unexpected := coder.Unexpected(); len(unexpected) > 0 {
		t.Errorf("asked what Coder does not know: %v", unexpected)
	}
}

// controlWorkspace gives a user a workspace whose log grows, and tells the keys that no page may see.
func controlWorkspace(t *testing.T, what string, a *authAccount, db *storetest.DB, coder *codertest.Server) (string, error) {
	name := stored(t, a, db)
	switch what {
	case "workspace":
		w := coder.AddWorkspace(name, "dev")
		coder.LogBuild(w.ID, "one")
		coder.LogBuild(w.ID, "two")
	case "line":
		coder.LogBuild(coder.WorkspacesOf(name)[0].ID, "three")
	case "keys":
		var keys []string
		for _, key := range coder.TokensOf(name) {
			keys = append(keys, key.Whole)
		}
		return strings.Join(keys, "\n"), nil
	default:
		return "", fmt.Errorf("unknown: %s", what)
	}
	return "", nil
}

// latePage has an origin before its server runs: the gateway has to know the one, and the server the gateway.
type latePage struct {
	server
	to *atomic.Pointer[httputil.ReverseProxy]
}

func newLatePage(t *testing.T) latePage {
	t.Helper()
	to := new(atomic.Pointer[httputil.ReverseProxy])
	return latePage{serve(t, func(w http.ResponseWriter, r *http.Request) { to.Load().ServeHTTP(w, r) }), to}
}

func (p latePage) is(t *testing.T, at string) {
	t.Helper()
	target, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	p.to.Store(httputil.NewSingleHostReverseProxy(target))
}

// startPages starts examples/main.ts, and gives its address.
func startPages(t *testing.T, env ...string) string {
	t.Helper()
	cmd := exec.Command("node", "dist/examples/main.mjs")
	cmd.Dir, cmd.Env, cmd.Stderr = clientDir, append(append(os.Environ(), "PORT=0"), env...), t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		said <- line
	}()
	select {
	case line := <-said:
		if _, at, ok := strings.Cut(strings.TrimSpace(line), "listening at "); ok {
			return at
		}
		t.Fatalf("the pages' server says %q", line)
	case <-time.After(time.Minute):
		t.Fatal("the pages' server does not start")
	}
	return ""
}
