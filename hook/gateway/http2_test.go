package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// secure serves the stand's gateway with TLS and HTTP/2, as browsers reach it.
func (s *stand) secure(limit time.Duration) *httptest.Server {
	s.t.Helper()
	e := echo.New()
	s.gate.Register(e)
	server := httptest.NewUnstartedServer(e)
	server.EnableHTTP2 = true
	server.Config.ReadTimeout, server.Config.WriteTimeout = limit, limit
	server.StartTLS()
	s.t.Cleanup(server.Close)
	return server
}

// Over HTTP/2 the server's deadlines are of each stream, and fire also where nothing is written.
func TestQuietStreamOverHTTP2GoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a deadline")
	}
	t.Parallel()
	const limit = 5 * time.Second
	say := make(chan struct{})
	s := alone(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		<-say
		fmt.Fprint(w, "data: at last\n\n")
	})
	s.gate.SlowClient = limit
	server := s.secure(limit)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/coder/api/v2/users/me", nil)
	req.Header.Set("Authorization", "Bearer token-alice")
	resp, err := server.Client().Do(req)
	if err != nil || resp.ProtoMajor != 2 {
		t.Fatal(resp, err)
	}
	defer resp.Body.Close()
	timer := time.NewTimer(limit + time.Second)
	defer timer.Stop()
	<-timer.C
	close(say)
	if raw, err := io.ReadAll(resp.Body); string(raw) != "data: first\n\ndata: at last\n\n" {
		t.Errorf("%q %v", raw, err)
	}
}

// WebSockets come over HTTP/1.1 beside it.
func TestTerminalOverTLS(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	server := s.secure(time.Minute)
	agent := s.coder.AddWorkspace("alice", "dev")
	opts := browser("token-alice")
	opts.HTTPClient = server.Client()
	conn, _, err := websocket.Dial(t.Context(), server.URL+"/coder/api/v2/workspaceagents/"+agent.Agent.String()+"/pty?reconnect="+uuid.NewString(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if _, raw, err := conn.Read(t.Context()); string(raw) != "$ " {
		t.Errorf("%q %v", raw, err)
	}
	s.sessions.end(s.alice.Session)
	wantClose(t.Context(), t, conn, 3003)
}
