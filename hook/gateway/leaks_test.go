package gateway_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"coderhook/hook/gateway"
)

// recordedRequest is a line of testdata/coder.
type recordedRequest struct {
	Name, Method, Path string
	Body               json.RawMessage
}

func recordings(t *testing.T) (list []recordedRequest) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "coder", "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var r recordedRequest
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			list = append(list, r)
		}
		_ = file.Close() // read only
	}
	return list
}

// Every request that was ever recorded is sent by a page, and some more: no answer holds a key, in no header and no
// body, and nothing is changed in Coder that makes or ends one. What is let through is listed.
func TestNoAnswerHoldsAKey(t *testing.T) {
	t.Parallel()
	s := newStand(t, func(g *gateway.Gateway) { g.Limits.PerMinute = 1_000_000 })
	w := s.coder.AddWorkspace("alice", "dev")
	requests := recordings(t)
	n := len(requests)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		for _, path := range []string{
			"/users/me", "/users/me/organizations", "/users/me/workspace/dev", "/workspaces?q=owner:me", "/workspaces/" + w.ID.String(),
			"/workspacebuilds/" + w.Build.String(), "/workspacebuilds/" + w.Build.String() + "/logs", "/workspaceagents/" + w.Agent.String(),
			"/workspaceagents/" + w.Agent.String() + "/logs", "/notifications/inbox", "/templates", "/organizations/coder/templates", "/files/" + uuid.NewString(),
			"/files", "/buildinfo", "/regions", "/applications/host", "/applications/auth-redirect?redirect_uri=http://x.apps.localhost", "/users/alice/keys/tokens",
			"/users/me/keys", "/users/me/keys/tokens/x", "/users/me/keys/" + s.keys.keys["alice"][:10], "/users/logout", "/users/me/password", "/users/me/roles",
		} {
			requests = append(requests, recordedRequest{Method: method, Path: "/api/v2" + path, Body: json.RawMessage("{}")})
		}
	}
	tokens := len(s.coder.TokensOf("alice"))
	through := map[string]bool{}
	for _, r := range requests {
		path := strings.NewReplacer("<", "", ">", "").Replace(r.Path)
		req, err := http.NewRequest(r.Method, s.url+path, strings.NewReader(string(r.Body)))
		if err != nil {
			continue // no client can send it
		}
		req.Header.Set("Authorization", "Bearer token-alice")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s %s: %v", r.Method, r.Path, err)
		}
		var all strings.Builder
		_ = resp.Header.Write(&all)
		_, _ = bufio.NewReader(resp.Body).WriteTo(&all)
		resp.Body.Close()
		s.wantNoKey(r.Method+" "+r.Path, all.String())
		if strings.Contains(all.String(), "Set-Cookie") || strings.Contains(all.String(), "api_key_35e783") {
			t.Errorf("%s %s: %s", r.Method, r.Path, all.String())
		}
	}
	for _, r := range s.coder.Requests() {
		through[r.Method+" "+strings.NewReplacer(w.ID.String(), "W", w.Build.String(), "B", w.Agent.String(), "A").Replace(r.Path)] = true
		if strings.Contains(r.Path, "/keys") || strings.HasSuffix(r.Path, "auth-redirect") || r.As != "alice" && r.As != "" {
			t.Errorf("%s %s came to Coder as %q", r.Method, r.Path, r.As)
		}
	}
	if got := len(s.coder.TokensOf("alice")); got != tokens || s.keys.doubted() > 0 {
		t.Errorf("%d tokens of %d, %d doubts", got, tokens, s.keys.doubted())
	}
	t.Logf("%d recorded requests and %d others; %d kinds came through", n, len(requests)-n, len(through))
}
