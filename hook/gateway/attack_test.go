package gateway_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"coderhook/hook/gateway"
)

// raw sends bytes as no client of Go's would, and gives the first answer's status and the whole of what came.
func (s *stand) raw(text string) (status int, all string) {
	s.t.Helper()
	u, _ := url.Parse(s.url)
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	var seen bytes.Buffer
	from := bufio.NewReader(io.TeeReader(conn, &seen))
	for {
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			break
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if status = resp.StatusCode; status >= 200 || status == http.StatusSwitchingProtocols {
			break
		}
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, from) // a reset is an end, too
	return status, seen.String()
}

// request is a raw one of alice's.
func request(line string, headers ...string) string {
	return line + " HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nAuthorization: Bearer token-alice\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
}

// wantUntouched fails if anything but what is named got to Coder.
func (s *stand) wantUntouched(what string, but ...string) {
	s.t.Helper()
	for _, r := range s.coder.Requests() {
		if !slices.Contains(but, r.Method+" "+r.Path) {
			s.t.Errorf("%s: %s %s came to Coder as %q", what, r.Method, r.Path, r.As)
		}
	}
	s.coder.ForgetRequests()
}

// wantNoKey fails if any key that was ever made is in text.
func (s *stand) wantNoKey(what, text string) {
	s.t.Helper()
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	for _, key := range append(slices.Clone(s.keys.made), s.coder.OwnerToken) {
		_, secret, _ := strings.Cut(key, "-")
		if strings.Contains(text, secret) || strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
			s.t.Errorf("%s: a key is in %.300q", what, text)
		}
	}
}

// A route that is refused stays so in all the ways to write it.
func TestPathTricks(t *testing.T) {
	t.Parallel()
	s := newStand(t, func(g *gateway.Gateway) { g.Limits.PerMinute = 100_000 })
	for _, path := range []string{
		"/api/v2/users/me/keys/tokens", "//api/v2/users/me/keys/tokens", "/api//v2/users/me/keys/tokens", "/api/v2/users/me/keys//tokens",
		"/api/v2/workspaces/../users/me/keys/tokens", "/api/v2/workspaces/%2e%2e/users/me/keys/tokens", "/api/v2/./users/me/keys/tokens",
		"/api/v2/users%2fme%2fkeys%2ftokens", "/api/v2/users/me/keys%2Ftokens", "/api/v2/users/me/%6beys/tokens", "/api/v2/%75sers/me/keys/tokens",
		"/api/v2/users/me;x/keys/tokens", "/api/v2/users/me/keys;/tokens", "/api/v2/users/me/keys/tokens;", "/api/v2/users/me/keys/tokens/",
		"/api/v2/users/me/keys/tokens%00", "/api/v2/users/me/keys/tokens.", "/api/v2/users/me./keys/tokens", "/api/v2/users/me/KEYS/tokens",
		"/API/V2/users/me/keys/tokens", "/api/v2/Users/me/keys/tokens", "/api/v2/users/me/keys\\tokens", "/api/v2/users/me%5ckeys/tokens",
		"/api/v2/users/me/keys%252ftokens", "/api/v2/users/me%2f..%2fme/keys/tokens", "/api/v2/users/me/keys/tokens%20", "/api/v2/users/me/keys/tokens%0d%0a",
		"/api/v2/workspaces%2f..%2fusers%2fme%2fkeys", "/api/v2/users/me%3f/keys/tokens", "/api/v2/users/me/\u0192keys/tokens", "/api/v2/users/\uff0e\uff0e/keys",
		"/api/v2/organizations/..%2fusers%2fme%2fkeys%2ftokens", "/api/v2/organizations/x%2f..%2f..%2fusers%2fme%2fkeys", "/api/v2/organizations/%2e%2e",
		"/api/v2/users/x;y/workspace/dev", "/api/v2/organizations/a%00", "/api/v2/users/a%3fb/workspace/dev", "/api/v2/users/a/workspace/%2e%2e",
		"/api/v2/users/me/..%c0%af/keys", "/api/v2/users/me/gitsshkey", "/api/v2/users/me/../me/gitsshkey", "/../api/v2/users/me/keys", "/..", "/", "",
		"/api/v2", "/api/v2/", "/%40alice/dev/apps/code/", "/@alice/dev/apps/code/", "/login", "/healthz", "/derp", "/oauth2/tokens", "/scim/v2/Users",
		"/api/experimental/chats", "/api/v2/workspaceagents/me/gitsshkey", "/api/v2/workspaceagents/" + uuid.NewString() + "/coordinate",
		"/api/v2/applications/auth-redirect?redirect_uri=http://x", "/api/v2/external-auth", "/api/v2/audit", "/api/v2/deployment/config", "/api/v2/users",
		"/api/v2/users/first", "/api/v2/users/login", "/api/v2/debug/expvar", "/api/v2/workspacebuilds/" + uuid.NewString() + "/state",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "PROPFIND", "get", "OPTIONS"} {
			status, all := s.raw(request(method + " /coder" + path))
			if status < 400 || status >= 500 {
				t.Errorf("%s %s: %d", method, path, status)
			}
			s.wantNoKey(path, all)
		}
	}
	s.wantUntouched("path tricks")
}

// The other users of this Coder are named by no route.
func TestOtherUsersAreNotReached(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	bob, _ := s.coder.User("bob")
	w := s.coder.AddWorkspace("bob", "secret")
	for _, path := range []string{
		"/users/bob", "/users/" + bob.ID.String(), "/users/bob/organizations", "/users/bob/workspaces", "/users/bob/appearance", "/users/me.", "/users/Me",
	} {
		if got := s.do("GET", "/api/v2"+path, nil); got.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{
		"/workspaces/" + w.ID.String(), "/workspaces/" + w.ID.String() + "/watch", "/workspacebuilds/" + w.Build.String(), "/workspaceagents/" + w.Agent.String(),
		"/workspaceagents/" + w.Agent.String() + "/logs", "/users/bob/workspace/secret",
	} {
		if got := s.do("GET", "/api/v2"+path, nil); got.status != http.StatusNotFound || strings.Contains(got.body, "secret") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func TestHostAndAbsoluteTargets(t *testing.T) {
	t.Parallel()
	var h heard
	s := alone(t, h.ServeHTTP)
	coder, _ := url.Parse(s.gate.Coder)
	for _, host := range []string{"evil.example", "code--main--dev--bob.apps.example.com", coder.Host, "127.0.0.1"} {
		if status, all := s.raw(strings.Replace(request("GET /coder/api/v2/workspaces"), "Host: gateway", "Host: "+host, 1)); status != http.StatusOK {
			t.Errorf("%s: %s", host, all)
		}
		if got := h.last(t).Host; got != coder.Host {
			t.Errorf("Coder was asked as %s", got)
		}
	}
	n := len(h.list)
	for _, line := range []string{
		"GET http://" + coder.Host + "/coder/api/v2/workspaces", "GET http://evil.example/coder/api/v2/workspaces", "GET https://gateway/coder/api/v2/users/me",
		"CONNECT " + coder.Host, "GET //evil.example/coder/api/v2/workspaces", "GET coder/api/v2/workspaces", "GET /coder@evil.example/api/v2/workspaces",
		"GET /coder%2fapi/v2/workspaces", "GET /x/../coder/api/v2/workspaces", "GET /coder/../coder/api/v2/workspaces",
	} {
		if status, all := s.raw(request(line)); status < 400 || status >= 500 {
			t.Errorf("%s: %.200s", line, all)
		}
	}
	if len(h.list) != n {
		t.Errorf("%d requests came to Coder", len(h.list)-n)
	}
}

func TestKeysInTheQueryAreRefused(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for _, query := range []string{
		"coder_session_token=x", "access_token=x", "a=b&coder_session_token=x", "coder%5fsession%5ftoken=x", "%63oder_session_token=x", "CODER_SESSION_TOKEN=x",
		"coder_session_token", "&&access_token=x", "access%5Ftoken=x", "coder_session_token%00=x", "+coder_session_token=x", "coder_session_token%20=x",
		"a=b;coder_session_token=x", "coder_session_token;a=x", "%zz=1", "a=%", "coder%255fsession_token=%zz", "coder_signed_app_token_23db1dde=x",
		"coder_application_connect_api_key_35e783=x", "coder_session_token[]=x", "x=1&access_token", "a?coder_session_token=x",
	} {
		status, all := s.raw(request("GET /coder/api/v2/workspaces?" + query))
		if status != http.StatusBadRequest {
			t.Errorf("%s: %.200s", query, all)
		}
	}
	s.wantUntouched("keys in the query")
	for _, query := range []string{"q=owner:me", "q=owner%3Ame%20status%3Arunning", "", "limit=25&offset=0", "q=access_token"} {
		if status, all := s.raw(request("GET /coder/api/v2/workspaces?" + query)); status == http.StatusBadRequest || status == http.StatusForbidden {
			t.Errorf("%s: %.300s", query, all)
		}
	}
}

func TestTokenConfusion(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"two headers":             {[]string{"Authorization: Bearer token-bob"}, 400},
		"the same twice":          {[]string{"Authorization: Bearer token-alice"}, 400},
		"subprotocol, no socket":  {[]string{"Sec-WebSocket-Protocol: coderhook.v1, " + tokenProtocol("token-bob")}, 200}, // and it counts for nothing
		"cookie of another":       {[]string{"Cookie: coder_session_token=" + s.keys.keys["bob"]}, 200},
		"header of another":       {[]string{"Coder-Session-Token: " + s.keys.keys["bob"]}, 200},
		"header with owner's key": {[]string{"Coder-Session-Token: " + s.coder.OwnerToken}, 200},
	} {
		s.coder.ForgetRequests()
		status, all := s.raw(request("GET /coder/api/v2/users/me", c.headers...))
		if status != c.status || status == 200 && !strings.Contains(all, "alice@example.com") {
			t.Errorf("%s: %.300s", name, all)
		}
		for _, r := range s.coder.Requests() {
			if r.As != "alice" {
				t.Errorf("%s: asked as %q", name, r.As)
			}
		}
	}
	for _, authorization := range []string{
		"", "Bearer", "Bearer ", "Basic token-alice", "token-alice", "Bearer " + s.keys.keys["alice"], "Bearer " + s.coder.OwnerToken, "Bearer token-alice token-bob", "Bearer token-alice,Bearer token-bob",
	} {
		text := strings.Replace(request("GET /coder/api/v2/users/me"), "Authorization: Bearer token-alice", "Authorization: "+authorization, 1)
		status, all := s.raw(text)
		if status != http.StatusUnauthorized || !strings.Contains(strings.ToLower(all), "www-authenticate: bearer") {
			t.Errorf("%q: %.300s", authorization, all)
		}
		s.wantNoKey(authorization, all)
	}
}

// Whoever tries is noted, but fills no table.
func TestRefusalsAreNotedOnce(t *testing.T) {
	t.Parallel()
	s := newStand(t, func(g *gateway.Gateway) { g.Limits.PerMinute = 10_000 })
	for range 50 {
		if got := s.do("POST", "/api/v2/users/me/keys/tokens", strings.NewReader("{}")); got.status != http.StatusForbidden || !strings.Contains(got.message(), `"keys"`) {
			t.Fatalf("%d %s", got.status, got.body)
		}
		s.doAs("bob", "GET", "/api/v2/users/me/%2e%2e/keys", nil)
	}
	eventually(t, "noted", func() bool { return len(s.audit.all()) >= 2 })
	rows := s.audit.all()
	want := []gateway.RefusedRoute{
		{User: s.alice.User, Rule: "keys", Method: "POST", Path: "/api/v2/users/me/keys/tokens"}, {User: s.bob.User, Rule: "path", Method: "GET"},
	}
	if len(rows) != 2 || !slices.Contains(rows, want[0]) || !slices.Contains(rows, want[1]) {
		t.Errorf("%+v", rows)
	}
	if n := s.metric("coderhook_gateway_refused_total", `"keys"`); n != 50 {
		t.Errorf("%v counted", n)
	}
}
