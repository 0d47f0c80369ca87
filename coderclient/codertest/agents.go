package codertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// Of agents, logs and terminals there are no recordings. They are taken from Coder's source at v2.36.0:
// coderd/workspaceagents.go (workspaceAgentLogs), coderd/provisionerjobs.go (provisionerJobLogs),
// coderd/workspaceapps/proxy.go (workspaceAgentPTY), codersdk/workspaceagents.go and provisionerdaemons.go (the fields).

func (s *Server) agentJSON(w *workspace) object {
	return object{
		"id": w.agent, "created_at": w.created, "updated_at": w.lastChange, "status": "connected", "lifecycle_state": "ready",
		"name": "main", "resource_id": w.agent, "architecture": "amd64", "operating_system": "linux", "apps": []object{},
	}
}

func (e *exchange) getAgent() reply {
	w, no := e.workspaceBy("agent", agentID)
	if no != nil {
		return *no
	}
	return jsonReply(http.StatusOK, e.agentJSON(w))
}

// LogBuild adds a line to the log of the workspace's last build, and LogAgent one to that of its agent.
func (s *Server) LogBuild(id uuid.UUID, output string) {
	s.logTo(id, func(w *workspace) {
		w.buildLog = append(w.buildLog, object{
			"id": len(w.buildLog) + 1, "created_at": s.time(), "log_source": "provisioner", "log_level": "info",
			"stage": "Starting workspace", "output": output,
		})
	})
}

// LogAgent adds a line to the log of the workspace's agent.
func (s *Server) LogAgent(id uuid.UUID, output string) {
	s.logTo(id, func(w *workspace) {
		w.agentLog = append(w.agentLog, object{
			"id": len(w.agentLog) + 1, "created_at": s.time(), "output": output, "level": "info", "source_id": w.agent,
		})
	})
}

func (s *Server) logTo(id uuid.UUID, add func(*workspace)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := find(s.workspaces, func(w *workspace) bool { return w.id == id }); w != nil {
		add(w)
		s.announce()
	}
}

// buildLogs follows line by line: each is a message.
func (e *exchange) buildLogs() reply {
	w, no := e.workspaceBy("build", buildID)
	if no != nil {
		return *no
	}
	return e.logs(w.lines(func() []object { return w.buildLog }), func(lines []object) []any {
		var messages []any
		for _, line := range lines {
			messages = append(messages, line)
		}
		return messages
	})
}

// agentLogs follows with lists of lines; the first may be empty.
func (e *exchange) agentLogs() reply {
	w, no := e.workspaceBy("agent", agentID)
	if no != nil {
		return *no
	}
	return e.logs(w.lines(func() []object { return w.agentLog }), func(lines []object) []any { return []any{lines} })
}

// lines gives those after the line of that number.
func (w *workspace) lines(all func() []object) func(after int) []object {
	return func(after int) []object { return append([]object{}, all()[min(max(after, 0), len(all())):]...) }
}

func (e *exchange) logs(read func(after int) []object, messages func([]object) []any) reply {
	query := e.r.URL.Query()
	after, err := number(query.Get("after"))
	switch {
	case err != nil:
		return refusal(http.StatusBadRequest, `Query param "after" must be an integer.`, "", validation("after", "Must be an integer"))
	case !query.Has("follow"):
		return jsonReply(http.StatusOK, read(after))
	}
	first := true
	return e.told(func() []any {
		lines := read(after)
		after += len(lines)
		if len(lines) == 0 && !first {
			return nil
		}
		first = false
		return messages(lines)
	})
}

// terminal is one in which what is typed appears, and nothing else happens.
func (e *exchange) terminal() reply {
	_, no := e.workspaceBy("agent", agentID)
	if no != nil {
		return *no
	}
	query := e.r.URL.Query()
	if _, err := uuid.Parse(query.Get("reconnect")); err != nil {
		return refusal(http.StatusBadRequest, "Invalid query parameters.", "",
			validation("reconnect", fmt.Sprintf("Query param %q is required and cannot be empty", "reconnect")))
	}
	for _, size := range []string{"height", "width"} {
		if _, err := strconv.ParseUint(query.Get(size), 10, 16); query.Has(size) && err != nil {
			return refusal(http.StatusBadRequest, "Invalid query parameters.", "", validation(size, fmt.Sprintf("Query param %q must be a valid unsigned integer", size)))
		}
	}
	s := e.Server
	return s.socket(func(conn *websocket.Conn, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		go func() {
			select {
			case <-s.done:
				cancel()
			case <-ctx.Done():
			}
		}()
		conn.SetReadLimit(1 << 20)
		if conn.Write(ctx, websocket.MessageBinary, []byte("$ ")) != nil {
			return
		}
		for {
			_, raw, err := conn.Read(ctx)
			var typed struct {
				Data string `json:"data"`
			}
			if err != nil || json.Unmarshal(raw, &typed) != nil {
				return
			}
			soon, done := context.WithTimeout(ctx, 10*time.Second)
			err = conn.Write(soon, websocket.MessageBinary, []byte(typed.Data))
			done()
			if err != nil {
				return
			}
		}
	})
}
