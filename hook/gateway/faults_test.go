package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/gateway"
	"coderhook/hook/quota"
)

func TestRefusedKeyIsRenewedAndTheRequestRepeated(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	w := s.coder.AddWorkspace("alice", "dev")
	s.do("GET", "/api/v2/users/me", nil)
	s.revoke("alice")
	if got := s.do("GET", "/api/v2/users/me", nil); got.status != http.StatusOK || !strings.Contains(got.body, "alice@example.com") {
		t.Errorf("without a body: %d %s", got.status, got.body)
	}
	s.revoke("alice")
	got := s.do("POST", "/api/v2/workspaces/"+w.ID.String()+"/builds", strings.NewReader(`{"transition":"stop"}`))
	if got.status != http.StatusCreated || s.coder.WorkspacesOf("alice")[0].Builds != 2 {
		t.Errorf("with a short body: %d %s", got.status, got.body)
	}
	s.revoke("alice")
	if _, conn := s.terminal("alice"); conn.Subprotocol() != "coderhook.v1" {
		t.Error("WebSocket")
	}
	if n := s.keys.doubted(); n != 3 {
		t.Errorf("%d doubts", n)
	}
}

// Where the body can't be sent twice, the client may: the new key is there.
func TestLongBodyIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.revoke("alice")
	upload := func() answer {
		return s.do("POST", "/api/v2/files", strings.NewReader(strings.Repeat("x", 1<<20)), "Content-Type", "application/x-tar")
	}
	if got := upload(); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" || got.message() == "" {
		t.Errorf("first: %d %v %s", got.status, got.header, got.body)
	}
	if got := upload(); got.status != http.StatusCreated {
		t.Errorf("second: %d %s", got.status, got.body)
	}
}

// Many requests at once find out together.
func TestOneDoubtForAll(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.revoke("alice")
	s.coder.ForgetRequests()
	s.keys.hold = func() { // until Coder has refused all of them
		eventually(t, "all refused", func() bool {
			refused := 0
			for _, r := range s.coder.Requests() {
				if r.Status == http.StatusUnauthorized {
					refused++
				}
			}
			return refused >= 20
		})
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got := s.do("GET", "/api/v2/users/me", nil); got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	wg.Wait()
	if n := s.keys.doubted(); n != 1 {
		t.Errorf("%d doubts", n)
	}
}

// A key that is good although Coder says otherwise is not doubted at each request.
func TestDoubtsArePaced(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.coder.Fail(codertest.Fault{Path: "/users/me", Status: 401, Body: `{"message":"no"}`})
	for range 10 {
		got := s.do("GET", "/api/v2/users/me", nil)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || got.header.Get("Www-Authenticate") != "" {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
	}
	if n := s.keys.doubted(); n != 1 {
		t.Errorf("%d doubts", n)
	}
}

func TestAnswersWithoutAKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		status int
		retry  string
	}{
		"pending":      {fmt.Errorf("provision: %w", gateway.ErrPending), 202, "2"},
		"too slow":     {context.DeadlineExceeded, 202, "2"},
		"conflict":     {&gateway.Refusal{Code: 409, Rule: "conflict", Message: "Ask the operator"}, 409, ""},
		"rate limited": {&coderclient.Error{Status: 429, RetryAfter: 17 * time.Second}, 503, "17"},
		"database":     {errors.New("password=hunter2"), 503, "5"},
	} {
		s := newStand(t)
		s.keys.err = c.err
		got := s.do("GET", "/api/v2/users/me", nil)
		if got.status != c.status || got.header.Get("Retry-After") != c.retry || strings.Contains(got.body, "hunter2") {
			t.Errorf("%s: %d %v %s", name, got.status, got.header, got.body)
		}
		if c.status == 202 && got.body != fmt.Sprintf("{\"user_id\":%q,\"status\":\"pending\"}\n", s.alice.User) || c.status != 202 && got.message() == "" {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	s := newStand(t)
	s.revoke("alice")
	s.keys.dead = &gateway.Refusal{Code: 409, Rule: "conflict", Message: "suspended"}
	if got := s.do("GET", "/api/v2/users/me", nil); got.status != http.StatusConflict || got.message() != "suspended" {
		t.Errorf("suspended: %d %s", got.status, got.body)
	}
}

func TestCoderDown(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for name, f := range map[string]codertest.Fault{
		"reset":                 {Reset: true},
		"a proxy that finds it": {Status: 502, Proxy: true, Body: "<html>Bad gateway</html>", Header: http.Header{"Content-Type": {"text/html"}}},
	} {
		heal := s.coder.Fail(f)
		got := s.do("GET", "/api/v2/users/me", nil)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || got.message() == "" {
			t.Errorf("%s: %d %v %s", name, got.status, got.header, got.body)
		}
		heal()
	}
	s.coder.Close()
	if got := s.do("GET", "/api/v2/users/me", nil); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || got.message() == "" {
		t.Errorf("closed: %d %v %s", got.status, got.header, got.body)
	}
	if !strings.Contains(s.log.String(), "no answer of Coder's") {
		t.Errorf("log: %s", s.log)
	}
}

func TestLimitsOfAUser(t *testing.T) {
	t.Parallel()
	release, running := make(chan struct{}), atomic.Int32{}
	s := alone(t, func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		if r.URL.Path == "/api/v2/users/me" {
			<-release
		}
	}, func(g *gateway.Gateway) { g.Limits = quota.Limits{PerMinute: 60, Running: 3} })
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { s.do("GET", "/api/v2/users/me", nil) })
	}
	eventually(t, "three at once", func() bool { return running.Load() == 3 })
	if got := s.do("GET", "/api/v2/buildinfo", nil); got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
		t.Errorf("fourth at once: %d %v", got.status, got.header)
	}
	if got := s.doAs("bob", "GET", "/api/v2/buildinfo", nil); got.status != http.StatusOK {
		t.Errorf("bob: %d", got.status)
	}
	close(release)
	wg.Wait()
	eventually(t, "too many in a minute", func() bool {
		got := s.do("GET", "/api/v2/buildinfo", nil)
		return got.status == http.StatusTooManyRequests && strings.Contains(got.message(), "too many requests for this user") && got.header.Get("Retry-After") != ""
	})
}

// However many users there are, what all of them have open is bounded.
func TestLimitOfAll(t *testing.T) {
	t.Parallel()
	release, running := make(chan struct{}), atomic.Int32{}
	s := alone(t, func(_ http.ResponseWriter, r *http.Request) {
		running.Add(1)
		if r.URL.Path == "/api/v2/users/me" {
			<-release
		}
	}, func(g *gateway.Gateway) { g.Limits.All = 2 })
	var wg sync.WaitGroup
	for _, name := range []string{"alice", "bob"} {
		wg.Go(func() { s.doAs(name, "GET", "/api/v2/users/me", nil) })
	}
	eventually(t, "two at once", func() bool { return running.Load() == 2 })
	got := s.do("GET", "/api/v2/buildinfo", nil)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || !strings.Contains(got.message(), "too many requests and WebSockets") {
		t.Errorf("the third: %d %v %s", got.status, got.header, got.body)
	}
	close(release)
	wg.Wait()
	if got := s.do("GET", "/api/v2/buildinfo", nil); got.status != http.StatusOK {
		t.Errorf("when there is room: %d", got.status)
	}
}

// A client that takes nothing lets go of Coder.
func TestSlowClientDoesNotHoldCoder(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	s := alone(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}, func(g *gateway.Gateway) { g.SlowClient = 200 * time.Millisecond })
	u, _ := url.Parse(s.url)
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, request("GET /coder/api/v2/users/me"))
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("Coder still sends")
	}
	eventually(t, "over", func() bool { return s.gate.Open() == 0 })
}

// Nor does one that sends nothing.
func TestSlowUploadDoesNotHoldCoder(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	s := alone(t, func(_ http.ResponseWriter, r *http.Request) {
		defer close(gone)
		_, _ = io.Copy(io.Discard, r.Body)
	}, func(g *gateway.Gateway) { g.SlowClient = 200 * time.Millisecond })
	u, _ := url.Parse(s.url)
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, request("POST /coder/api/v2/files", "Content-Length: 1000000")+"some")
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("Coder still waits")
	}
	answer, _ := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
		t.Errorf("%s", answer)
	}
}

// A stream in which nothing happens outlives the server's own deadlines, and the patience with slow clients.
func TestQuietStreamGoesOn(t *testing.T) {
	t.Parallel()
	say := make(chan struct{})
	speak := sync.OnceFunc(func() { close(say) })
	s := alone(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-say
		fmt.Fprint(w, "data: at last\n\n")
	}, func(g *gateway.Gateway) { g.SlowClient = time.Second }) // no less: the answer's first bytes have to be through by then
	t.Cleanup(speak) // else Coder's end waits for it
	resp := s.open("GET", "/api/v2/users/me", nil)
	timer := time.NewTimer(2 * time.Second)
	defer timer.Stop()
	<-timer.C
	speak()
	if raw, err := io.ReadAll(resp.Body); string(raw) != "data: at last\n\n" {
		t.Errorf("%q %v", raw, err)
	}
}

func TestWhatIsToldOfARequest(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.coder.AddWorkspace("alice", "dev")
	s.do("GET", "/api/v2/workspaces?q=owner:me", nil)
	s.do("POST", "/api/v2/users/me/keys/tokens", strings.NewReader("{}"))
	s.terminal("alice")
	eventually(t, "counted", func() bool {
		return s.metric("coderhook_gateway_requests_total", "workspaces") == 1 && s.metric("coderhook_gateway_sockets", "") == 1 &&
			s.metric("coderhook_gateway_refused_total", "keys") == 1 && s.metric("coderhook_gateway_bytes_total", "to_client") > 100
	})
	for _, want := range []string{`"route":"/api/v2/workspaces"`, `"status":200`, `"class":"workspaces"`, `"user_id":"` + s.alice.User.String()} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("no %s in %s", want, s.log)
		}
	}
	s.wantNoKey("log", s.log.String())
	for _, secret := range []string{"token-alice", "owner:me"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("%s in the log", secret)
		}
	}
}

func TestFaultsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]*gateway.Gateway{
		"no URL": {Prefix: "/coder"}, "prefix with a slash": {Coder: "http://x", Prefix: "/coder/"}, "no prefix": {Coder: "http://x"}, "nothing else": {Coder: "http://x", Prefix: "/coder"},
	} {
		if err := g.Start(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Two sessions of one user that are given different keys never meet each other's, whoever calls first, and after a doubt.
func TestSessionsOfOtherKindsHaveOtherKeys(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.bob.Session, s.bob.Kind = s.alice.Session, "narrow" // bob is alice in another session
	me := func(name string) string {
		got := s.doAs(name, "GET", "/api/v2/users/me", nil)
		var user struct{ Username string }
		if err := json.Unmarshal([]byte(got.body), &user); err != nil || got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		return user.Username
	}
	for range 2 {
		for _, name := range []string{"alice", "bob", "bob", "alice"} {
			if got := me(name); got != name {
				t.Errorf("%s acts with the key of %s", name, got)
			}
		}
		s.revoke("bob")
	}
}
