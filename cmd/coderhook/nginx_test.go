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

// With the configuration that we ship a sign-in goes on when a replica is killed under it, and when one leaves.
func TestNginxRepeatsASignIn(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	first := cmdtest.Start(t, db, coder, "FRONTEND_ADDR=127.0.0.1:0")
	second := cmdtest.Start(t, db, coder, "FRONTEND_ADDR=127.0.0.1:0")
	third := cmdtest.Start(t, db, coder, "FRONTEND_ADDR=127.0.0.1:0")
	client := startNginx(t, first, second, third)
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

// With the configuration that we ship pages use the gateway, WebSockets included.
func TestNginxPassesTheGatewayOn(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	ada := db.AddUser(t, "ada@example.com")
	p := cmdtest.Start(t, db, coder, "FRONTEND_ADDR=127.0.0.1:0", "GATEWAY=on", "SUPABASE_JWT_SECRET="+cmdtest.JWTSecret, "CORS_ORIGINS="+gatewayPage)
	token := cmdtest.AccessToken(t, ada, nil)
	wantMe(t, p.FrontEnd, token, coder)
	client := startNginx(t, p)
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
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx")
	}
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("nginx is not installed")
	}
	dir, err := os.MkdirTemp("", "nginx") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	writePair(t, dir, "coderhook.example.com")
	writeNginxConf(t, dir, servers)
	nginx, err := process.Start(process.Command{
		Program: program, Args: []string{"-p", dir, "-c", "nginx.conf", "-e", "error.log"}, Env: os.Environ(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = nginx.Stop(time.Minute)
		if log, _ := os.ReadFile(filepath.Join(dir, "error.log")); t.Failed() {
			t.Logf("nginx: %s", log)
		}
	})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "socket"))
	}
	cmdtest.Eventually(t, "nginx listens", func() bool {
		conn, err := dial(t.Context(), "", "")
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return &http.Client{Transport: &http.Transport{DialContext: dial, TLSClientConfig: anyCertificate()}}
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
	conf := contentOf(t, "../../testdata/ops/nginx.conf")
	for old, replaced := range map[string]string{
		strings.ReplaceAll(twice, "%", "8787"): hooks.String(), strings.ReplaceAll(twice, "%", "8789"): frontEnds.String(),
		"listen 443 ssl;":        "listen unix:" + dir + "/socket ssl;",
		"/etc/ssl/coderhook.pem": dir + "/cert.pem", "/etc/ssl/coderhook.key": dir + "/key.pem",
	} {
		if strings.Count(conf, old) != 1 {
			t.Fatalf("the configuration has not one %q", old)
		}
		conf = strings.Replace(conf, old, replaced, 1)
	}
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
