package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/process"
	"coderhook/store/storetest"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// With the configurations that we ship a sign-in goes on when a replica is killed under it, and when one leaves.
func TestNginxRepeatsASignIn(t *testing.T) {
	t.Parallel()
	behindProxy(t, startNginx)
}

// With them pages use the gateway, WebSockets included.
func TestNginxPassesTheGatewayOn(t *testing.T) {
	t.Parallel()
	gatewayBehind(t, startNginx)
}

// Debian's Caddy does not know the option without which a body is not sent again: CADDY names a newer one.
func TestCaddyRepeatsASignIn(t *testing.T) {
	t.Parallel()
	wantNewCaddy(t)
	behindProxy(t, startCaddy)
}

func TestCaddyPassesTheGatewayOn(t *testing.T) {
	t.Parallel()
	wantNewCaddy(t)
	gatewayBehind(t, startCaddy)
}

func wantNewCaddy(t *testing.T) {
	t.Helper()
	validate := exec.CommandContext(t.Context(), caddyProgram(t), "validate", "--config", "../../testdata/ops/Caddyfile", "--adapter", "caddyfile")
	if out, err := validate.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "request_buffers") && os.Getenv("CADDY") == "" {
			t.Skip("this Caddy is older than 2.7: CADDY=$(go tool -modfile=.tools/caddy/go.mod -n caddy) has a newer one compiled")
		}
		t.Fatalf("%v: %s", err, out)
	}
}

func behindProxy(t *testing.T, start func(t *testing.T, servers ...*cmdtest.Server) *http.Client) {
	t.Helper()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	first := cmdtest.Start(t, db, coder, "FRONTEND_ADDR=127.0.0.1:0")
	second := cmdtest.Start(t, db, coder, "FRONTEND_ADDR=127.0.0.1:0")
	third := cmdtest.Start(t, db, coder, "FRONTEND_ADDR=127.0.0.1:0")
	client := start(t, first, second, third)
	behind := &cmdtest.Server{URL: "https://coderhook.example.com/hooks/custom-access-token"}

	some, end := underLoad(t, db, 8, 100, func(ctx context.Context, user uuid.UUID, email string) error {
		_, _, err := behind.Mint(ctx, client, user, email)
		return err
	})
	some()
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	some()
	second.Stop(t)
	some()
	end()

	for path, want := range map[string]int{"/create-coder-user": http.StatusNotImplemented, "/healthz": http.StatusNotFound, "/readyz": http.StatusNotFound} {
		response, err := client.Post("https://coderhook.example.com"+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
}

func gatewayBehind(t *testing.T, start func(t *testing.T, servers ...*cmdtest.Server) *http.Client) {
	t.Helper()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	ada := db.AddUser(t, "ada@example.com")
	p := cmdtest.Start(t, db, coder, "FRONTEND_ADDR=127.0.0.1:0", "GATEWAY=on", "SUPABASE_JWT_SECRET="+cmdtest.JWTSecret, "CORS_ORIGINS="+gatewayPage)
	token := cmdtest.AccessToken(t, ada, nil)
	wantMe(t, p.FrontEnd, token, coder)
	client := start(t, p)
	terminal := dialTerminalBy(t, client, "https://coderhook.example.com", token, coder, "one")
	if err := terminal.Write(t.Context(), websocket.MessageText, []byte(`{"data":"hello"}`)); err != nil {
		t.Fatal(err)
	}
	if _, echoed, err := terminal.Read(t.Context()); string(echoed) != "hello" {
		t.Errorf("%q %v", echoed, err)
	}
	_ = terminal.CloseNow()
	p.Stop(t)
}

// startNginx puts nginx before the servers, and returns what reaches it.
func startNginx(t *testing.T, servers ...*cmdtest.Server) *http.Client {
	t.Helper()
	program, dir := proxyProgram(t, "nginx"), proxyDir(t)
	writeNginxConf(t, dir, servers)
	return proxy(t, dir, process.Command{
		Program: program, Args: []string{"-p", dir, "-c", "nginx.conf", "-e", "error.log"}, Env: os.Environ(),
	})
}

// startCaddy puts Caddy before the servers, and returns what reaches it.
func startCaddy(t *testing.T, servers ...*cmdtest.Server) *http.Client {
	t.Helper()
	program, dir := caddyProgram(t), proxyDir(t)
	writeCaddyfile(t, dir, servers)
	return proxy(t, dir, process.Command{
		Program: program, Args: []string{"run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile"},
		Env: append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir),
	})
}

func caddyProgram(t *testing.T) string {
	t.Helper()
	if program := os.Getenv("CADDY"); program != "" {
		return program
	}
	program, err := exec.LookPath("caddy")
	if err != nil {
		t.Skip("no Caddy: CADDY=$(go tool -modfile=.tools/caddy/go.mod -n caddy) has one compiled, as CI does last")
	}
	return program
}

// proxyProgram finds the program, which CI has.
func proxyProgram(t *testing.T, name string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip(name + " is not installed")
	}
	return program
}

// proxyDir makes a folder with a certificate. t.TempDir is too long for a socket.
func proxyDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	writePair(t, dir, "coderhook.example.com")
	return dir
}

// proxy runs the program, which listens at the socket in dir.
func proxy(t *testing.T, dir string, command process.Command) *http.Client {
	t.Helper()
	running, err := process.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = running.Stop(time.Minute)
		if log, _ := os.ReadFile(filepath.Join(dir, "error.log")); t.Failed() {
			t.Logf("%s: %s", command.Program, log)
		}
	})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "socket"))
	}
	cmdtest.Eventually(t, "the proxy listens", func() bool {
		conn, err := dial(t.Context(), "", "")
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return &http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: anyCertificate()}}
}

// writeCaddyfile changes of the configuration only where the servers are, and Caddy itself.
func writeCaddyfile(t *testing.T, dir string, servers []*cmdtest.Server) {
	t.Helper()
	var hooks, frontEnds []string
	for _, s := range servers {
		hooks, frontEnds = append(hooks, s.Addr), append(frontEnds, s.FrontEnd)
	}
	conf := replaceOnce(t, contentOf(t, "../../testdata/ops/Caddyfile"), map[string]string{
		"10.0.0.11:8787 10.0.0.12:8787": strings.Join(hooks, " "), "10.0.0.11:8789 10.0.0.12:8789": strings.Join(frontEnds, " "),
		"10.0.0.11:8790 10.0.0.12:8790": strings.Join(frontEnds, " "), // the gateway's, which has no port of its own here
		"\ncoderhook.example.com {":     "\ncoderhook.example.com {\nbind unix/" + dir + "/socket\ntls " + dir + "/cert.pem " + dir + "/key.pem",
	})
	own := "{\nadmin off\nauto_https disable_redirects\nservers {\nprotocols h1 h2\n}\nlog {\noutput file " + dir + "/error.log\n}\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "Caddyfile"), []byte(own+conf), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replaceOnce replaces what stands in the text once.
func replaceOnce(t *testing.T, text string, replacements map[string]string) string {
	t.Helper()
	for old, replaced := range replacements {
		if strings.Count(text, old) != 1 {
			t.Fatalf("the configuration has not one %q", old)
		}
		text = strings.Replace(text, old, replaced, 1)
	}
	return text
}

// writeNginxConf changes of the configuration only where the servers are, and nginx itself.
func writeNginxConf(t *testing.T, dir string, servers []*cmdtest.Server) {
	t.Helper()
	var hooks, frontEnds strings.Builder
	for _, s := range servers {
		hooks.WriteString("server " + s.Addr + ";\n")
		frontEnds.WriteString("server " + s.FrontEnd + ";\n")
	}
	const twice = "    server 10.0.0.11:%;\n    server 10.0.0.12:%;\n"
	conf := replaceOnce(t, contentOf(t, "../../testdata/ops/nginx.conf"), map[string]string{
		strings.ReplaceAll(twice, "%", "8787"): hooks.String(), strings.ReplaceAll(twice, "%", "8789"): frontEnds.String(),
		"listen 443 ssl;":        "listen unix:" + dir + "/socket ssl;",
		"/etc/ssl/coderhook.pem": dir + "/cert.pem", "/etc/ssl/coderhook.key": dir + "/key.pem",
	})
	var own strings.Builder
	if os.Getuid() == 0 {
		own.WriteString("user root;\n") // it may read the folder
	}
	own.WriteString("daemon off;\npid pid;\nerror_log error.log;\nworker_processes 1;\nevents {}\nhttp {\naccess_log off;\n")
	for i, temp := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		own.WriteString(temp + "_temp_path temp" + strconv.Itoa(i) + ";\n")
	}
	own.WriteString(conf + "}\n")
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(own.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
