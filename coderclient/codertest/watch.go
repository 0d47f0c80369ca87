package codertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// What is watched is told of as Coder does it (coderd/httpapi/httpapi.go, ServerSentEventSender and
// OneWayWebSocketEventSender; coderd/workspaces.go, watchWorkspace; all at v2.36.0): first as it stands, then after
// every change. There are no recordings of streams.

// stream writes an answer that goes on.
type stream func(http.ResponseWriter, *http.Request)

// heartbeat is how often Coder writes into a stream in which nothing happens.
const heartbeat = 15 * time.Second

// announce wakes all who watch; the server is locked.
func (s *Server) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// snapshot calls read while the server is locked, and gives what is closed by the next change.
func (s *Server) snapshot(read func()) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	read()
	return s.changed
}

// watchBySSE tells of a workspace by server-sent events.
func (e *exchange) watchBySSE() reply {
	w, no := e.workspaceBy("workspace", workspaceID)
	if no != nil {
		return *no
	}
	s := e.Server
	return reply{status: http.StatusOK, stream: func(out http.ResponseWriter, r *http.Request) {
		out.Header().Set("Content-Type", "text/event-stream")
		out.Header().Set("Cache-Control", "no-cache")
		out.Header().Set("X-Accel-Buffering", "no")
		beat := time.NewTicker(heartbeat)
		defer beat.Stop()
		event := "event: ping\n\n"
		for {
			var raw []byte
			changed := s.snapshot(func() { raw, _ = json.Marshal(s.workspaceJSON(w)) }) // our own values
			for _, text := range []string{event, fmt.Sprintf("event: data\ndata: %s\n\n", raw)} {
				if _, err := io.WriteString(out, text); err != nil {
					return
				}
			}
			if err := http.NewResponseController(out).Flush(); err != nil {
				return
			}
			select {
			case <-changed:
				event = ""
			case <-beat.C:
				event = "event: ping\n\n"
			case <-r.Context().Done():
				return
			case <-s.done:
				panic(http.ErrAbortHandler)
			}
		}
	}}
}

// watchByWebSocket does the same by a WebSocket on which the client says nothing.
func (e *exchange) watchByWebSocket() reply {
	w, no := e.workspaceBy("workspace", workspaceID)
	if no != nil {
		return *no
	}
	s := e.Server
	first := []any{object{"type": "ping", "data": nil}}
	return s.told(func() []any {
		messages := append(first, object{"type": "data", "data": s.workspaceJSON(w)})
		first = nil
		return messages
	})
}

// told sends what now gives over a WebSocket: all of it, and after each change what it gives then. now is called
// while the server is locked.
func (s *Server) told(now func() []any) reply {
	return s.socket(func(conn *websocket.Conn, r *http.Request) {
		ctx := conn.CloseRead(r.Context()) // whoever talks here is cut off
		for {
			var messages [][]byte
			changed := s.snapshot(func() {
				for _, value := range now() {
					raw, _ := json.Marshal(value) // our own values
					messages = append(messages, raw)
				}
			})
			for _, raw := range messages {
				if conn.Write(ctx, websocket.MessageText, raw) != nil {
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-s.done:
				return
			}
		}
	})
}

// socket accepts a WebSocket as Coder does: from pages of its own host, or from no page.
func (s *Server) socket(serve func(*websocket.Conn, *http.Request)) reply {
	return reply{status: http.StatusSwitchingProtocols, stream: func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // it has answered
		}
		s.sockets.Add(1)
		defer s.sockets.Add(-1)
		defer conn.CloseNow() // where serve has not closed it
		serve(conn, r)
	}}
}

// Sockets is how many WebSockets are open.
func (s *Server) Sockets() int { return int(s.sockets.Load()) }
