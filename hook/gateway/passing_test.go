package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"coderhook/hook/gateway"
)

func TestRequestsGoThroughWithTheUsersKey(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	mine := s.coder.AddWorkspace("alice", "dev")
	s.coder.AddWorkspace("bob", "secret")
	got := s.do("GET", "/api/v2/workspaces?q=owner:me&limit=10", nil)
	if got.status != 200 || !strings.Contains(got.body, mine.ID.String()) || strings.Contains(got.body, "secret") {
		t.Errorf("workspaces: %d %s", got.status, got.body)
	}
	if h := got.header; h.Get("Access-Control-Allow-Origin") != page || h.Get("Cache-Control") != "no-store" || h.Get("X-Coder-Build-Version") == "" {
		t.Errorf("header: %v", h)
	}
	got = s.do("POST", "/api/v2/workspaces/"+mine.ID.String()+"/builds", strings.NewReader(`{"transition":"stop"}`), "Content-Type", "application/json")
	if got.status != http.StatusCreated {
		t.Errorf("build: %d %s", got.status, got.body)
	}
	if got = s.do("GET", "/api/v2/users/me", nil); !strings.Contains(got.body, `"alice@example.com"`) {
		t.Errorf("me: %d %s", got.status, got.body)
	}
	if u := s.coder.Unexpected(); len(u) > 0 {
		t.Errorf("unexpected in Coder: %+v", u)
	}
}

// alone starts a gateway before a Coder that does just this.
func alone(t *testing.T, serve http.HandlerFunc, change ...func(*gateway.Gateway)) *stand {
	t.Helper()
	coder := httptest.NewServer(serve)
	t.Cleanup(coder.Close)
	return newStand(t, append(change, func(g *gateway.Gateway) { g.Coder = coder.URL })...)
}

// open begins a request whose answer goes on.
func (s *stand) open(method, path string, body io.Reader, header ...string) *http.Response {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer token-alice")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestStreamsAreNotHeldBack(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"text/event-stream", "application/x-ndjson", "application/octet-stream", "of known length"} {
		next := make(chan struct{})
		s := alone(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			if kind == "of known length" {
				w.Header().Set("Content-Length", "24")
			}
			for i := range 3 {
				fmt.Fprintf(w, "{\"n\":%d}\n", i)
				_ = http.NewResponseController(w).Flush()
				select {
				case <-next:
				case <-r.Context().Done():
				}
			}
		})
		lines := bufio.NewScanner(s.open("GET", "/api/v2/buildinfo", nil).Body)
		for i := range 3 { // a line is read before the next is written
			if !lines.Scan() || lines.Text() != fmt.Sprintf(`{"n":%d}`, i) {
				t.Fatalf("%s: line %d: %q %v", kind, i, lines.Text(), lines.Err())
			}
			next <- struct{}{}
		}
	}
}

func TestEventsOfAWorkspaceComeThrough(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	w := s.coder.AddWorkspace("alice", "dev")
	lines := bufio.NewScanner(s.open("GET", "/api/v2/workspaces/"+w.ID.String()+"/watch", nil, "Accept", "text/event-stream").Body)
	for _, want := range []string{"event: ping", `"status":"running"`, `"status":"stopped"`} {
		for lines.Scan() && !strings.Contains(lines.Text(), want) {
		}
		if !strings.Contains(lines.Text(), want) {
			t.Fatalf("no %q: %v", want, lines.Err())
		}
		s.coder.SetWorkspace(w.ID, "stop", "stopped", false)
	}
}

// The first half of an upload arrives before the second is sent.
func TestUploadsAreNotHeldBack(t *testing.T) {
	t.Parallel()
	half := bytes.Repeat([]byte("x"), 1<<20)
	arrived := make(chan int)
	s := alone(t, func(w http.ResponseWriter, r *http.Request) {
		for range 2 {
			n, _ := io.ReadFull(r.Body, make([]byte, len(half)))
			arrived <- n
		}
		w.WriteHeader(http.StatusCreated)
	})
	from, to := io.Pipe()
	go func() {
		for range 2 {
			_, _ = to.Write(half)
			if n := <-arrived; n != len(half) {
				t.Errorf("%d bytes arrived", n)
			}
		}
		_ = to.Close()
	}()
	if got := s.do("POST", "/api/v2/files", from, "Content-Type", "application/x-tar"); got.status != http.StatusCreated {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestFilesComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<16)
	up := s.do("POST", "/api/v2/files", bytes.NewReader(data), "Content-Type", "application/x-tar")
	var made struct{ Hash string }
	if err := json.Unmarshal([]byte(up.body), &made); err != nil {
		t.Fatalf("%d %s", up.status, up.body)
	}
	if down := s.do("GET", "/api/v2/files/"+made.Hash, nil); down.body != string(data) {
		t.Errorf("%d, %d bytes", down.status, len(down.body))
	}
	if other := s.doAs("bob", "GET", "/api/v2/files/"+made.Hash, nil); other.status != http.StatusNotFound {
		t.Errorf("bob: %d", other.status)
	}
}

func TestPagesMayCall(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	ask := func(origin string) answer {
		return s.do("OPTIONS", "/api/v2/workspaces", nil, "Origin", origin, "Authorization", "", "Access-Control-Request-Method", "PUT",
			"Access-Control-Request-Headers", "authorization,content-type,last-event-id")
	}
	if got := ask(page); got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Origin") != page ||
		!strings.Contains(got.header.Get("Access-Control-Allow-Methods"), "PATCH") || !strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "Last-Event-ID") {
		t.Errorf("%d %v", got.status, got.header)
	}
	if got := ask("https://evil.example"); got.header.Get("Access-Control-Allow-Origin") != "" || got.header.Get("Access-Control-Allow-Headers") != "" {
		t.Errorf("evil: %d %v", got.status, got.header)
	}
	if n := len(s.coder.Requests()); n != 0 {
		t.Errorf("%d requests to Coder", n)
	}
}

// Below a path, behind a proxy of its own, Coder is found all the same.
func TestCoderMayHaveAPath(t *testing.T) {
	t.Parallel()
	var asked string
	coder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.RequestURI
		w.Header().Set("Location", "/dev/coder/api/v2/buildinfo?x=1")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	t.Cleanup(coder.Close)
	s := newStand(t, func(g *gateway.Gateway) { g.Coder = coder.URL + "/dev/coder/" })
	got := s.do("GET", "/api/v2/workspaces?q=a%20b", nil)
	if asked != "/dev/coder/api/v2/workspaces?q=a%20b" || got.status != http.StatusTemporaryRedirect || got.header.Get("Location") != "/coder/api/v2/buildinfo?x=1" {
		t.Errorf("%q: %d %v", asked, got.status, got.header)
	}
}
