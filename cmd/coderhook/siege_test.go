package main

import (
	"context"
	"crypto/tls"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/siege/attack"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// Whatever strangers do, every sign-in is answered. How fast, and for how much memory, tells cmd/internal/siege.
func TestStrangersCannotStopASignIn(t *testing.T) {
	t.Parallel()
	db, coder, dir := storetest.New(t), cmdtest.Coder(t), t.TempDir()
	writePair(t, dir, "coderhook.example.com")
	user := db.AddUser(t, "ada@example.com")
	for _, a := range attack.All { // one after the other: each is more connections than many a machine has for us
		t.Run(a.Name, func(t *testing.T) {
			p := cmdtest.Start(t, db, coder, "LOG_LEVEL=info", "HOOK_DEADLINE=4s",
				"TLS_CERT_FILE="+filepath.Join(dir, "cert.pem"), "TLS_KEY_FILE="+filepath.Join(dir, "key.pem"))
			p.URL = strings.Replace(p.URL, "http:", "https:", 1)
			underAttack(t, a, attack.Target{Addr: p.Addr, TLS: anyCertificate()}, func() { mintByMint(t, p, user) })
		})
	}
}

// underAttack does something while it lasts.
func underAttack(t *testing.T, a attack.Attack, target attack.Target, do func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan struct{})
	var attacking sync.WaitGroup
	defer attacking.Wait()
	defer cancel()
	attacking.Go(func() { a.Run(ctx, target, sync.OnceFunc(func() { close(ready) })) })
	select {
	case <-ready:
		do()
	case <-time.After(2 * time.Minute):
		t.Error("the attack does not begin")
	}
}

func anyCertificate() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// mintByMint: half of the mints come on connections of their own, half on one that stays.
func mintByMint(t *testing.T, p *cmdtest.Server, user uuid.UUID) {
	t.Helper()
	for i := range 40 {
		transport := &http.Transport{TLSClientConfig: anyCertificate(), ForceAttemptHTTP2: true}
		client := &http.Client{Transport: transport, Timeout: time.Minute}
		for range 1 + i%2 {
			if key, status, err := mintPatiently(t, p, client, user, "ada@example.com"); err != nil || key == "" {
				t.Errorf("mint %d: key %.4s, status %q, %v", i, key, status, err)
			}
		}
		transport.CloseIdleConnections()
	}
}

// The front end's port takes its strangers with it: the hook's stays free, and has no routes for browsers.
func TestFrontEndHasAPortOfItsOwn(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	user := db.AddUser(t, "ada@example.com")
	p := cmdtest.Start(t, db, coder, "FRONTEND_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "HOOK_DEADLINE=4s")
	status := func(method, addr, path string) int {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	cmdtest.Eventually(t, "the start is over", func() bool { return status(http.MethodGet, p.Addr, "/readyz") == http.StatusOK })
	for _, test := range []struct {
		method, path   string
		hook, frontEnd int
	}{
		{"GET", "/healthz", 200, 200},
		{"GET", "/readyz", 200, 200},
		{"POST", "/hooks/custom-access-token", 401, 404},
		{"POST", "/create-coder-user", 404, 501},
		{"GET", "/applications/auth-redirect", 404, 501},
		{"OPTIONS", "/create-coder-user", 404, 204},
	} {
		if got := status(test.method, p.Addr, test.path); got != test.hook {
			t.Errorf("hook: %s %s: %d", test.method, test.path, got)
		}
		if got := status(test.method, p.FrontEnd, test.path); got != test.frontEnd {
			t.Errorf("front end: %s %s: %d", test.method, test.path, got)
		}
	}
	underAttack(t, attack.All[0], attack.Target{Addr: p.FrontEnd}, func() {
		if key, status, err := mintPatiently(t, p, http.DefaultClient, user, "ada@example.com"); err != nil || key == "" {
			t.Errorf("key %.4s, status %q, %v", key, status, err)
		}
		metrics := cmdtest.Get(t, "http://"+p.Admin+"/metrics")
		for _, want := range []string{
			`coderhook_connections_limit{listener="hook"} 1024`, `coderhook_connections_limit{listener="frontend"} 1024`,
			`coderhook_connections{listener="hook"} `, `coderhook_connections_evicted_total{listener="hook"} 0`,
		} {
			if !strings.Contains(metrics, want) {
				t.Errorf("without %q", want)
			}
		}
	})
	p.Stop(t)
}
