package codertest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient/codertest"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/google/uuid"
)

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

func dial(t *testing.T, s *codertest.Server, path string) (context.Context, *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, s.URL+"/api/v2"+path, &websocket.DialOptions{
		HTTPHeader: http.Header{"Coder-Session-Token": {s.OwnerToken}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return ctx, conn
}

func next[T any](ctx context.Context, t *testing.T, conn *websocket.Conn) (value T) {
	t.Helper()
	if err := wsjson.Read(ctx, conn, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func startForWatching(t *testing.T) (*codertest.Server, codertest.Workspace) {
	t.Helper()
	s := codertest.Start(codertest.ProfileNew)
	t.Cleanup(s.Close)
	return s, s.AddWorkspace("owner", "dev")
}

func TestWebSocketTellsOfChanges(t *testing.T) {
	t.Parallel()
	s, w := startForWatching(t)
	type event struct {
		Type string
		Data struct {
			Build struct{ Status string } `json:"latest_build"`
		}
	}
	ctx, conn := dial(t, s, "/workspaces/"+w.ID.String()+"/watch-ws")
	if e := next[event](ctx, t, conn); e.Type != "ping" {
		t.Errorf("first: %+v", e)
	}
	if e := next[event](ctx, t, conn); e.Data.Build.Status != "running" {
		t.Errorf("as it stands: %+v", e)
	}
	s.SetWorkspace(w.ID, "stop", "stopped", false)
	if e := next[event](ctx, t, conn); e.Data.Build.Status != "stopped" {
		t.Errorf("after the change: %+v", e)
	}
}

func TestLogsAreFollowed(t *testing.T) {
	t.Parallel()
	s, w := startForWatching(t)
	type line struct{ Output string }
	s.LogBuild(w.ID, "one")
	ctx, build := dial(t, s, "/workspacebuilds/"+w.Build.String()+"/logs?follow&after=0")
	agentCtx, agent := dial(t, s, "/workspaceagents/"+w.Agent.String()+"/logs?follow")
	if l := next[line](ctx, t, build); l.Output != "one" {
		t.Errorf("build log: %+v", l)
	}
	if l := next[[]line](agentCtx, t, agent); len(l) != 0 {
		t.Errorf("agent log: %+v", l)
	}
	s.LogBuild(w.ID, "two")
	s.LogAgent(w.ID, "three")
	if l := next[line](ctx, t, build); l.Output != "two" {
		t.Errorf("build log: %+v", l)
	}
	if l := next[[]line](agentCtx, t, agent); len(l) != 1 || l[0].Output != "three" {
		t.Errorf("agent log: %+v", l)
	}
}

func TestTerminalAndInbox(t *testing.T) {
	t.Parallel()
	s, w := startForWatching(t)
	ctx, conn := dial(t, s, "/workspaceagents/"+w.Agent.String()+"/pty?reconnect="+uuid.NewString()+"&height=24&width=80")
	if err := wsjson.Write(ctx, conn, map[string]string{"data": "ls\r"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"$ ", "ls\r"} {
		if kind, raw, err := conn.Read(ctx); err != nil || kind != websocket.MessageBinary || string(raw) != want {
			t.Errorf("terminal: %v %q %v, want %q", kind, raw, err, want)
		}
	}
	ctx, inbox := dial(t, s, "/notifications/inbox/watch")
	s.Notify("owner", "hello")
	type told struct {
		Notification struct{ Title string }
		Unread       int `json:"unread_count"`
	}
	if n := next[told](ctx, t, inbox); n.Notification.Title != "hello" || n.Unread != 1 {
		t.Errorf("inbox: %+v", n)
	}
}

func get(t *testing.T, s *codertest.Server, method, path, kind string, body io.Reader) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, s.URL+"/api/v2"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Coder-Session-Token", s.OwnerToken)
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestEventsTellOfChanges(t *testing.T) {
	t.Parallel()
	s, w := startForWatching(t)
	resp := get(t, s, "GET", "/workspaces/"+w.ID.String()+"/watch", "", nil)
	lines := bufio.NewScanner(resp.Body)
	wait := func(text string) {
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("no %q: %v", text, lines.Err())
	}
	wait("event: ping")
	wait(`"status":"running"`)
	s.SetWorkspace(w.ID, "stop", "stopped", false)
	wait(`"status":"stopped"`)
}

func TestFilesComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	s, _ := startForWatching(t)
	data := bytes.Repeat([]byte("tar"), 1<<20)
	resp := get(t, s, "POST", "/files", "application/x-tar", bytes.NewReader(data))
	var made struct{ Hash string }
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status, err)
	}
	resp = get(t, s, "GET", "/files/"+made.Hash, "", nil)
	if back, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(back, data) {
		t.Errorf("%s: %d bytes, %v", resp.Status, len(back), err)
	}
}
