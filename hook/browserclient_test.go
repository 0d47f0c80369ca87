package hook

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/store/storetest"
)

const clientDir = "../testdata/client"

// The front end's client in Node and in a browser, against the built program: see testdata/client.
func TestBrowserClient(t *testing.T) {
	needClient(t)
	db := storetest.New(t)
	coder := codertest.Start(codertest.ProfileNew)
	t.Cleanup(coder.Close)
	app := newAppHost(t)
	coder.Configure(func(s *codertest.Settings) { s.AppHost = "*.apps.localhost:" + app.Port() })
	pages := newPages(t, coder.URL)
	auth := newAuthServer(t, db)
	auth.control = func(what string, a *authAccount) (string, error) { return "", control(t, what, a, db, coder) }
	auth.hook = startProgram(t,
		"DATABASE_URL="+db.RoleURL("coderhook"),
		"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS="+authtest.SecretA,
		"CODER_URL="+coder.URL,
		"CODER_OWNER_TOKEN="+coder.OwnerToken,
		"SUPABASE_URL="+auth.url,
		"CORS_ORIGINS=http://localhost:"+pages.Port(),
	)
	buildClient(t)
	npm(t, []string{
		"STACK_AUTH_URL=" + auth.url, "STACK_HOOK_URL=" + auth.hook, "STACK_CODER_URL=" + coder.URL,
		"STACK_PAGE_URL=http://localhost:" + pages.Port(), "STACK_OTHER_PAGE_URL=http://127.0.0.1:" + pages.Port(),
		"STACK_APP_URL=http://code--main--ws--ada.apps.localhost:" + app.Port() + "/?folder=%2Fhome",
	}, "test")
	if unexpected := coder.Unexpected(); len(unexpected) > 1 { // the one is meant to lead nowhere
		t.Errorf("asked what Coder does not know: %v", unexpected)
	}
}

// needClient skips on a developer's machine without Node; where CI says that all is there, that is a failure.
func needClient(t *testing.T) {
	t.Helper()
	missing := ""
	if _, err := exec.LookPath("node"); err != nil {
		missing = "node"
	} else if _, err := os.Stat(filepath.Join(clientDir, "node_modules")); err != nil {
		missing = "testdata/client/node_modules (npm ci there)"
	} else if _, err := os.Stat(chromium()); err != nil {
		missing = chromium() + " (or set CHROMIUM)"
	}
	switch {
	case missing == "":
	case os.Getenv("CI") != "":
		t.Fatalf("%s is missing", missing)
	default:
		t.Skipf("%s is missing", missing)
	}
}

func chromium() string {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	return "/usr/bin/chromium"
}

// buildClient makes what the tests in Node and the pages run.
func buildClient(t *testing.T) {
	t.Helper()
	clientBuilt.Do(func() { npm(t, nil, "run", "build") })
}

var clientBuilt sync.Once

// npm runs a script of the client's package.
func npm(t *testing.T, env []string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "npm", append([]string{"--silent"}, args...)...)
	cmd.Dir, cmd.Env = clientDir, append(os.Environ(), env...)
	output, err := cmd.CombinedOutput()
	if err != nil || testing.Verbose() {
		t.Logf("npm %s:\n%s", strings.Join(args, " "), output)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startProgram builds and starts coderhook, and gives its address.
func startProgram(t *testing.T, env ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "coderhook")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../cmd/coderhook").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	cmd := exec.Command(program, "serve")
	cmd.Env = append(env, "LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "DRAIN_DELAY=0s")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, read := make(chan string, 1), make(chan struct{})
	go readProgramLog(t, log, address, read)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("coderhook ended with %v", err)
		}
	})
	select {
	case at := <-address:
		return "http://" + at
	case <-read:
		t.Fatal("coderhook ended by itself")
	case <-time.After(patience):
		t.Fatal("coderhook does not listen")
	}
	return ""
}

func readProgramLog(t *testing.T, log io.Reader, address chan<- string, read chan<- struct{}) {
	defer close(read)
	var text strings.Builder
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		var line struct{ Message, Addr string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "listening" {
			address <- line.Addr
		}
	}
	if t.Failed() {
		t.Logf("coderhook's log:\n%s", text.String())
	}
}

// server is a test's own server, with its port.
type server struct{ *httptest.Server }

func serve(t *testing.T, handler http.HandlerFunc) server {
	t.Helper()
	s := server{httptest.NewServer(handler)}
	t.Cleanup(s.Close)
	return s
}

func (s server) Port() string {
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	return port
}

// newPages serves the product's page, and passes on to Coder what is below /coder.
func newPages(t *testing.T, coder string) server {
	t.Helper()
	target, err := url.Parse(coder)
	if err != nil {
		t.Fatal(err)
	}
	proxy := http.StripPrefix("/coder", httputil.NewSingleHostReverseProxy(target))
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/coder/"):
			proxy.ServeHTTP(w, r)
		case r.URL.Path == "/page.js":
			http.ServeFile(w, r, filepath.Join(clientDir, "dist/page.js"))
		case r.URL.Path == "/":
			http.ServeFile(w, r, filepath.Join(clientDir, "test/page.html"))
		default:
			http.NotFound(w, r)
		}
	})
}

// newAppHost does what Coder does at the host of its apps: it takes the key out of the address
// and makes a cookie of it.
func newAppHost(t *testing.T) server {
	t.Helper()
	const cookie = "coder_subdomain_app_session_token_0123456789abcdef"
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if key := query.Get(appParam); key != "" {
			query.Del(appParam)
			http.SetCookie(w, &http.Cookie{Name: cookie, Value: "signed", Path: "/", Domain: "apps.localhost", HttpOnly: true, SameSite: http.SameSiteLaxMode})
			http.Redirect(w, r, "http://"+r.Host+r.URL.Path+"?"+query.Encode(), http.StatusSeeOther)
			return
		}
		if _, err := r.Cookie(cookie); err != nil {
			http.Error(w, "no session", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>App</title><h1>Workspace</h1><p>You are signed in to this workspace app.")
	})
}

// control plays an operator who changes something in Coder, for a user whose key is stored.
func control(t *testing.T, what string, a *authAccount, db *storetest.DB, coder *codertest.Server) error {
	name := stored(t, a, db)
	switch what {
	case "suspend":
		coder.SuspendUser(name)
	case "conflict":
		coder.SuspendUser(name)
		db.Exec(t, `update coderhook.accounts set key_expires_at = now() where user_id = $1`, a.id)
	case "revoke":
		for _, key := range coder.TokensOf(name) {
			coder.DeleteKey(key.ID)
		}
		db.Exec(t, `update coderhook.accounts set key_expires_at = now() where user_id = $1`, a.id)
	default:
		return fmt.Errorf("unknown: %s", what)
	}
	return nil
}

// stored waits until the user's key is, and gives their name in Coder.
func stored(t *testing.T, a *authAccount, db *storetest.DB) (username string) {
	eventually(t, "the key is stored", func() bool {
		keys := storetest.QueryAll[string](t, db, `select p.api_key from public.profiles p join coderhook.accounts a on a.user_id = p.id
			where p.id = $1 and p.api_key is not null and a.lease_until is null`, a.id)
		return len(keys) == 1
	})
	return strings.Split(a.id.String(), "-")[0]
}
