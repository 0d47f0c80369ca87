package soak

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/cmd/internal/process"
)

// What the servers share.
const (
	hookSecret = "v1,whsec_c29ha2VkLXNlY3JldC1vZi10aGUtaG9vay0wMDE="
	jwtSecret  = "soaked-secret-of-the-access-tokens"
	deadline   = 2500 * time.Millisecond // HOOK_DEADLINE's default
	drainDelay = 200 * time.Millisecond
	// leaving is how long an ended server may take: what it waits for longest is a sign-up that is never committed.
	leaving = 50 * time.Second
)

// build makes the program, with the race detector where there is one.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "coderhook")
	if err := process.BuildForRaces(t.Context(), ".", "coderhook/cmd/coderhook", program); err != nil {
		t.Fatal(err)
	}
	return program
}

// replica is a place where one server runs after the other.
type replica struct {
	*soak
	name  string
	turn  sync.Mutex // one at a time ends it and starts it again
	downs spans

	mu    sync.Mutex
	now   *life // nil while none is up
	lives []*life
}

// life is a process.
type life struct {
	*process.Server
	mu      sync.Mutex
	killed  time.Time
	told    bool   // to end; to be told twice ends it at once
	metrics string // the last ones that were read
}

func (r *replica) start() {
	server, err := process.Serve(r.t.Context(), r.program, []string{
		"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_LEVEL=debug", "LOG_FORMAT=json", "DRAIN_DELAY=" + drainDelay.String(),
		"DATABASE_URL=" + r.db.roleURL, "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS=" + hookSecret, "SUPABASE_JWT_SECRET=" + jwtSecret,
		"CODER_URL=" + r.coder.url, "CODER_OWNER_TOKEN=" + r.coder.OwnerToken,
		"KEY_CHECK_INTERVAL=1s", "RECONCILE_INTERVAL=1s",
	})
	if err != nil {
		r.breach("%s does not start: %v", r.name, err)
		return
	}
	r.begin(&life{Server: server})
}

func (r *replica) begin(l *life) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now, r.lives = l, append(r.lives, l)
	r.tally.lives.Add(1)
	if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", l.PID)); err == nil {
		r.secrets.said(r.name+"'s arguments", string(args))
	}
	r.t.Cleanup(func() { _ = l.Kill() })
}

func (r *replica) current() *life {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// watch reads the metrics now and then, as Prometheus does.
func (r *replica) watch() {
	for r.pause(time.Second) {
		l := r.current()
		if l == nil {
			continue
		}
		text, err := l.ask("/metrics")
		if err != nil {
			continue // it has ended just now
		}
		l.mu.Lock()
		l.metrics = text
		l.mu.Unlock()
	}
}

// ask returns what a server's operators see.
func (l *life) ask(path string) (string, error) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + l.Admin + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// tellOf shows the lines of the log about the users of breaches.
func (r *replica) tellOf(t *testing.T, breaches []string) {
	for i, l := range r.lives {
		shown := 0
		for line := range strings.Lines(l.Log()) {
			for _, breach := range breaches[:min(len(breaches), 3)] {
				if id := userIn.FindString(breach); id != "" && strings.Contains(line, id) && shown < 12 {
					t.Logf("%s, life %d: %s", r.name, i+1, strings.TrimSpace(line))
					shown++
				}
			}
		}
	}
}
