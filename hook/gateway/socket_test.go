package gateway_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/hook/gateway"
	"coderhook/hook/quota"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/google/uuid"
)

func tokenProtocol(token string) string {
	return "base64url.bearer.authorization.coderhook." + base64.RawURLEncoding.EncodeToString([]byte(token))
}

// browser is what a page's WebSocket sends.
func browser(token string, protocols ...string) *websocket.DialOptions {
	return &websocket.DialOptions{
		HTTPHeader:      http.Header{"Origin": {page}},
		Subprotocols:    append([]string{"coderhook.v1", tokenProtocol(token)}, protocols...),
		CompressionMode: websocket.CompressionContextTakeover,
	}
}

func (s *stand) dial(path string, opts *websocket.DialOptions) (context.Context, *websocket.Conn) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	conn, resp, err := websocket.Dial(ctx, s.url+path, opts)
	if err != nil {
		s.t.Fatalf("%s: %v %v", path, err, resp)
	}
	s.t.Cleanup(func() { conn.CloseNow() })
	conn.SetReadLimit(1 << 24)
	return ctx, conn
}

func (s *stand) terminal(who string) (context.Context, *websocket.Conn) {
	s.t.Helper()
	name := "w" + uuid.NewString()[:8]
	path := "/api/v2/workspaceagents/" + s.coder.AddWorkspace(who, name).Agent.String() + "/pty?height=24&width=80&reconnect=" + uuid.NewString()
	ctx, conn := s.dial(path, browser("token-"+who))
	if _, raw, err := conn.Read(ctx); err != nil || string(raw) != "$ " {
		s.t.Fatalf("prompt: %q %v", raw, err)
	}
	return ctx, conn
}

func TestTerminalTalksBothWays(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	ctx, conn := s.terminal("alice")
	if conn.Subprotocol() != "coderhook.v1" {
		t.Errorf("selected: %q", conn.Subprotocol())
	}
	for _, size := range []int{1, 125, 126, 4096, 65535, 65536, 400_000} {
		text := strings.Repeat("x", size)
		if err := wsjson.Write(ctx, conn, map[string]string{"data": text}); err != nil {
			t.Fatal(err)
		}
		if _, raw, err := conn.Read(ctx); err != nil || string(raw) != text {
			t.Fatalf("%d bytes: %d came back, %v", size, len(raw), err)
		}
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close: %v", err)
	}
	eventually(t, "closed in Coder", func() bool { return s.coder.Sockets() == 0 && s.gate.Open() == 0 })
}

func TestWatchesAndLogsComeThrough(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	w := s.coder.AddWorkspace("alice", "dev")
	read := func(ctx context.Context, conn *websocket.Conn, want string) {
		t.Helper()
		for {
			_, raw, err := conn.Read(ctx)
			if err != nil {
				t.Fatalf("no %q: %v", want, err)
			}
			if strings.Contains(string(raw), want) {
				return
			}
		}
	}
	ctx, watch := s.dial("/api/v2/workspaces/"+w.ID.String()+"/watch-ws", browser("token-alice"))
	_, build := s.dial("/api/v2/workspacebuilds/"+w.Build.String()+"/logs?follow&after=0", browser("token-alice"))
	_, agent := s.dial("/api/v2/workspaceagents/"+w.Agent.String()+"/logs?follow&after=0&no_compression", browser("token-alice"))
	_, inbox := s.dial("/api/v2/notifications/inbox/watch", browser("token-alice"))
	read(ctx, watch, `"status":"running"`)
	s.coder.LogBuild(w.ID, "a build's line")
	s.coder.LogAgent(w.ID, "an agent's line")
	s.coder.Notify("bob", "for bob")
	s.coder.Notify("alice", "for alice")
	s.coder.SetWorkspace(w.ID, "stop", "stopped", false)
	read(ctx, build, "a build's line")
	read(ctx, agent, "an agent's line")
	read(ctx, inbox, "for alice")
	read(ctx, watch, `"status":"stopped"`)
}

// Coder's own choice of a subprotocol stands, and neither of ours ever gets there.
func TestSubprotocolsOfOthersGoOn(t *testing.T) {
	t.Parallel()
	offered := make(chan string, 1)
	s := alone(t, func(w http.ResponseWriter, r *http.Request) {
		offered <- strings.Join(r.Header.Values("Sec-Websocket-Protocol"), "|")
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"two"}})
		if err == nil {
			conn.Close(websocket.StatusNormalClosure, "enough")
		}
	})
	ctx, conn := s.dial("/api/v2/notifications/inbox/watch", browser("token-alice", "one", "two"))
	if got := <-offered; got != "one, two" || conn.Subprotocol() != "two" {
		t.Errorf("offered %q, selected %q", got, conn.Subprotocol())
	}
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Error(err)
	}
}

// wantClose reads up to the close frame.
func wantClose(ctx context.Context, t *testing.T, conn *websocket.Conn, code websocket.StatusCode) {
	t.Helper()
	for {
		_, _, err := conn.Read(ctx)
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); got != code {
			t.Errorf("closed with %d (%v), want %d", got, err, code)
		}
		return
	}
}

func TestEndOfASessionClosesItsSockets(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	ctx, alice := s.terminal("alice")
	_, bob := s.terminal("bob")
	s.sessions.end(s.alice.Session)
	wantClose(ctx, t, alice, 3003)
	if err := wsjson.Write(ctx, bob, map[string]string{"data": "still here"}); err != nil {
		t.Fatal(err)
	}
	if _, raw, err := bob.Read(ctx); err != nil || string(raw) != "still here" {
		t.Errorf("bob: %q %v", raw, err)
	}
	eventually(t, "closed in Coder", func() bool { return s.coder.Sockets() == 1 })
}

// Nor does one that has ended begin anything, though its token is good. One look serves for all that comes at the same time.
func TestEndedSessionBeginsNothing(t *testing.T) {
	t.Parallel()
	s := newStand(t, func(g *gateway.Gateway) { g.WatchInterval = time.Minute })
	for range 20 {
		if got := s.do("GET", "/api/v2/users/me", nil); got.status != http.StatusOK {
			t.Fatal(got.status)
		}
	}
	if looks := s.sessions.count(); looks != 1 {
		t.Errorf("looked %d times", looks)
	}
	s.sessions.end(s.bob.Session)
	got := s.doAs("bob", "GET", "/api/v2/users/me", nil)
	if got.status != http.StatusUnauthorized || !strings.Contains(got.header.Get("Www-Authenticate"), "invalid_token") || !strings.Contains(got.message(), "sign in again") {
		t.Errorf("%d %v", got.status, got.header)
	}
	if n := s.metric("coderhook_gateway_refused_total", "session"); n != 1 {
		t.Errorf("counted %v", n)
	}
	if got := s.do("GET", "/api/v2/users/me", nil); got.status != http.StatusOK {
		t.Errorf("alice: %d", got.status)
	}
}

// A token without a session is not asked about, and one about which nobody can tell goes on.
func TestSessionsThatNobodyKnowsGoOn(t *testing.T) {
	t.Parallel()
	s := newStand(t, func(g *gateway.Gateway) { g.WatchInterval = time.Minute })
	s.alice.ID = ""
	s.sessions.end(s.alice.Session)
	if got := s.do("GET", "/api/v2/users/me", nil); got.status != http.StatusOK || s.sessions.count() != 0 {
		t.Errorf("without a session: %d", got.status)
	}
	s.sessions.fail(errors.New("the database is down"))
	if got := s.doAs("bob", "GET", "/api/v2/users/me", nil); got.status != http.StatusOK || s.sessions.count() != 1 {
		t.Errorf("not known: %d", got.status)
	}
}

// What is known to have ended has not begun again because nobody can tell.
func TestEndedSessionStaysEndedWhileNobodyKnows(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	s := newStand(t, func(g *gateway.Gateway) {
		g.WatchInterval = time.Minute
		g.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	s.sessions.end(s.bob.Session)
	for _, fault := range []error{nil, errors.New("the database is down")} {
		s.sessions.fail(fault)
		if got := s.doAs("bob", "GET", "/api/v2/users/me", nil); got.status != http.StatusUnauthorized {
			t.Errorf("%v: %d", fault, got.status)
		}
		later.Add(int64(2 * time.Minute))
	}
	if looks := s.sessions.count(); looks != 2 {
		t.Errorf("looked %d times", looks)
	}
}

func TestExpiryOfTheTokenClosesSocketsAndStreams(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.alice.Expires = time.Now().Add(500 * time.Millisecond)
	w := s.coder.AddWorkspace("alice", "dev")
	resp := s.open("GET", "/api/v2/workspaces/"+w.ID.String()+"/watch", nil)
	ctx, conn := s.terminal("alice")
	wantClose(ctx, t, conn, 3000)
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
	}
	if lines.Err() == nil {
		t.Error("the stream ended as if all had been said")
	}
}

func TestDrainClosesSocketsAndLetsNobodyIn(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := newStand(t)
	var conns []*websocket.Conn
	var ctx context.Context
	for range 20 {
		c, conn := s.terminal("alice")
		ctx, conns = c, append(conns, conn)
	}
	w := s.coder.AddWorkspace("alice", "dev")
	stream := s.open("GET", "/api/v2/workspaces/"+w.ID.String()+"/watch", nil)
	drained := make(chan error, 1)
	go func() {
		limit, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		drained <- s.gate.Drain(limit)
		close(release)
	}()
	for _, conn := range conns {
		wantClose(ctx, t, conn, websocket.StatusServiceRestart)
	}
	for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
	}
	<-release
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if got := s.do("GET", "/api/v2/users/me", nil); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("after: %d %v", got.status, got.header)
	}
}

// A request that is short runs to its end while the gateway drains.
func TestDrainWaitsForRequests(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}), make(chan struct{})
	s := alone(t, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		fmt.Fprint(w, "done")
	})
	got := make(chan answer, 1)
	go func() { got <- s.do("GET", "/api/v2/users/me", nil) }()
	<-asked
	drained := make(chan error, 1)
	go func() { drained <- s.gate.Drain(t.Context()) }()
	eventually(t, "draining", func() bool { return s.do("GET", "/api/v2/users/me", nil).status == http.StatusServiceUnavailable })
	select {
	case err := <-drained:
		t.Errorf("drained before the request was answered: %v", err)
	default:
	}
	close(release)
	if a := <-got; a.body != "done" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A close frame stands between frames, also where a large one is under way; a client that takes nothing is cut off.
func TestCloseFrameWaitsForTheFrameUnderWay(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("y", 8<<20) // more than the kernel's buffers hold
	s := alone(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for conn.Write(r.Context(), websocket.MessageText, []byte(text)) == nil {
		}
	})
	ctx, conn := s.dial("/api/v2/notifications/inbox/watch", &websocket.DialOptions{
		HTTPHeader: http.Header{"Origin": {page}}, Subprotocols: []string{"coderhook.v1", tokenProtocol("token-alice")},
	})
	if _, raw, err := conn.Read(ctx); err != nil || string(raw) != text {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	s.sessions.end(s.alice.Session)
	for {
		_, raw, err := conn.Read(ctx)
		if err != nil {
			if code := websocket.CloseStatus(err); code != 3003 {
				t.Errorf("%d: %v", code, err)
			}
			break
		}
		if string(raw) != text {
			t.Fatalf("a message of %d bytes", len(raw))
		}
	}
	eventually(t, "all closed", func() bool { return s.gate.Open() == 0 })
}

func TestWhoTakesNothingIsCutOff(t *testing.T) {
	t.Parallel()
	s := alone(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for conn.Write(r.Context(), websocket.MessageText, make([]byte, 1<<16)) == nil {
		}
	}, func(g *gateway.Gateway) { g.SlowClient = 200 * time.Millisecond })
	s.dial("/api/v2/notifications/inbox/watch", browser("token-alice"))
	eventually(t, "cut off", func() bool { return s.gate.Open() == 0 && s.gateSockets() == 0 })
}

func (s *stand) gateSockets() float64 { return s.metric("coderhook_gateway_sockets", "") }

// Where Coder goes without a word, the client gets one.
func TestLossOfCoderIsTold(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	ctx, conn := s.terminal("alice")
	s.coder.Close()
	wantClose(ctx, t, conn, websocket.StatusBadGateway)
}

func TestSocketsNeedAPage(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	path := "/api/v2/workspaceagents/" + s.coder.AddWorkspace("alice", "dev").Agent.String() + "/pty?reconnect=" + uuid.NewString()
	with := func(change func(*websocket.DialOptions)) *websocket.DialOptions {
		opts := browser("token-alice")
		change(opts)
		return opts
	}
	for name, c := range map[string]struct {
		opts *websocket.DialOptions
		code int
	}{
		"another origin":  {with(func(o *websocket.DialOptions) { o.HTTPHeader.Set("Origin", "https://evil.example") }), 403},
		"no origin":       {with(func(o *websocket.DialOptions) { o.HTTPHeader.Del("Origin") }), 403},
		"two origins":     {with(func(o *websocket.DialOptions) { o.HTTPHeader["Origin"] = []string{page, "https://evil.example"} }), 403},
		"origin null":     {with(func(o *websocket.DialOptions) { o.HTTPHeader.Set("Origin", "null") }), 403},
		"no token":        {with(func(o *websocket.DialOptions) { o.Subprotocols = o.Subprotocols[:1] }), 401},
		"bad token":       {with(func(o *websocket.DialOptions) { o.Subprotocols[1] = tokenProtocol("other") }), 401},
		"not base64":      {with(func(o *websocket.DialOptions) { o.Subprotocols[1] += "=" }), 400}, // not even a token of HTTP
		"two tokens":      {with(func(o *websocket.DialOptions) { o.Subprotocols = append(o.Subprotocols, tokenProtocol("token-bob")) }), 400},
		"header and both": {with(func(o *websocket.DialOptions) { o.HTTPHeader.Set("Authorization", "Bearer token-bob") }), 400},
		"only the token":  {with(func(o *websocket.DialOptions) { o.Subprotocols = o.Subprotocols[1:] }), 400},
	} {
		_, resp, err := websocket.Dial(t.Context(), s.url+path, c.opts)
		if err == nil || resp == nil || resp.StatusCode != c.code && !(name == "not base64" && resp.StatusCode == 401) {
			t.Errorf("%s: %v %v", name, resp, err)
		}
	}
	if n := s.coder.Sockets(); n != 0 {
		t.Errorf("%d sockets", n)
	}
}

func TestLimitOfSockets(t *testing.T) {
	t.Parallel()
	s := newStand(t, func(g *gateway.Gateway) { g.Limits.Sockets = 2 })
	_, first := s.terminal("alice")
	s.terminal("alice")
	w := s.coder.AddWorkspace("alice", "third")
	path := "/api/v2/workspaces/" + w.ID.String() + "/watch-ws"
	_, resp, err := websocket.Dial(t.Context(), s.url+path, browser("token-alice"))
	if err == nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("third: %v %v", resp, err)
	}
	s.terminal("bob")
	first.Close(websocket.StatusNormalClosure, "")
	eventually(t, "room for another", func() bool {
		_, _, err := websocket.Dial(t.Context(), s.url+path, browser("token-alice"))
		return err == nil
	})
}

// What 1,000 WebSockets cost. The figure is logged; that it is bounded is what fails.
func TestMemoryOfThousandSockets(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	const n = 1000
	s := newStand(t, func(g *gateway.Gateway) {
		g.Limits = quota.Limits{PerMinute: 100_000, Running: 2 * n, Sockets: 2 * n}
	})
	request := "GET %s/api/v2/notifications/inbox/watch HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n\r\n"
	open := func(at, prefix, header string) (conns []net.Conn) {
		u, _ := url.Parse(at)
		for range n {
			conn, err := net.Dial("tcp", u.Host)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			fmt.Fprintf(conn, request, prefix, header)
			conns = append(conns, conn)
		}
		eventually(t, "all are open", func() bool { return s.coder.Sockets() == n })
		return conns
	}
	end := func(conns []net.Conn) {
		for _, conn := range conns {
			conn.Close()
		}
		eventually(t, "all are closed", func() bool { return s.coder.Sockets() == 0 && s.gate.Open() == 0 })
	}
	through := func() []net.Conn {
		return open(s.url, "/coder", "Origin: "+page+"\r\nSec-WebSocket-Protocol: coderhook.v1, "+tokenProtocol("token-alice"))
	}
	end(through()) // what is made once
	idle := memory()
	conns := open(s.coder.URL, "", "Coder-Session-Token: "+s.keys.keys["alice"])
	direct := memory() - idle
	end(conns)
	conns = through()
	eventually(t, "all are open", func() bool { return s.gateSockets() == n })
	with := memory() - idle
	end(conns)
	eventually(t, "memory as before", func() bool { return memory() < idle+with/2 })
	t.Logf("%d sockets: %d KiB for each, of them %d KiB the gateway's; the rest is the fake Coder's and the test's", n, with/n>>10, (with-direct)/n>>10)
	if with/n > 256<<10 {
		t.Error("more than 256 KiB for a socket")
	}
}

// A stream goes on for long, and little comes at a time: it must not hold a buffer that is for downloads.
func TestMemoryOfStreams(t *testing.T) {
	const n = 300
	open := atomic.Int32{}
	s := alone(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: ping\n\n")
		_ = http.NewResponseController(w).Flush()
		open.Add(1)
		defer open.Add(-1)
		<-r.Context().Done()
	}, func(g *gateway.Gateway) { g.Limits = quota.Limits{PerMinute: 100_000, Running: n} })
	u, _ := url.Parse(s.url)
	idle := memory()
	conns := make([]net.Conn, n)
	for i := range conns {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, request("GET /coder/api/v2/workspaces/"+uuid.NewString()+"/watch"))
		conns[i] = conn
	}
	eventually(t, "all are open", func() bool { return open.Load() == n })
	each := (memory() - idle) / n
	t.Logf("%d KiB for each, the test's Coder included", each>>10)
	if each > 150<<10 {
		t.Errorf("%d KiB for a stream", each>>10)
	}
}

// memory is what is in use after collecting garbage.
func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// Whatever the sizes of frames and reads, boundaries are found: a socket that is ended at any time ends with a whole
// close frame after whole frames.
func TestEndAtAnyTime(t *testing.T) {
	t.Parallel()
	sizes := make([]int, 200)
	for i := range sizes {
		sizes[i] = []int{0, 1, 125, 126, 127, 4095, 4096, 65535, 65536, 200_000}[rand.IntN(10)]
	}
	s := alone(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for i := 0; ; i++ {
			if conn.Write(r.Context(), websocket.MessageBinary, make([]byte, sizes[i%len(sizes)])) != nil {
				return
			}
		}
	})
	for range 10 {
		s.alice.ID = uuid.NewString() // a new session: one that has ended begins nothing
		ctx, conn := s.dial("/api/v2/notifications/inbox/watch", browser("token-alice"))
		stop := rand.IntN(100)
		for i := 0; ; i++ {
			_, raw, err := conn.Read(ctx)
			if err != nil {
				if code := websocket.CloseStatus(err); code != 3003 {
					t.Errorf("after %d frames: %v", i, err)
				}
				break
			}
			if len(raw) != sizes[i%len(sizes)] {
				t.Fatalf("frame %d has %d bytes", i, len(raw))
			}
			if i == stop {
				s.sessions.end(s.alice.Session)
			}
		}
		eventually(t, "closed", func() bool { return s.gate.Open() == 0 })
	}
}
