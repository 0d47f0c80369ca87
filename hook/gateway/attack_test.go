package gateway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
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

// heard is what a Coder that listens got.
type heard struct {
	mu   sync.Mutex
	list []*http.Request
	body []string
}

func (h *heard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list, h.body = append(h.list, r), append(h.body, string(body))
	fmt.Fprint(w, "{}")
}

func (h *heard) last(t *testing.T) *http.Request {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.list) == 0 {
		t.Fatal("nothing came to Coder")
	}
	return h.list[len(h.list)-1]
}

func TestHeadersThatNeverGoThrough(t *testing.T) {
	t.Parallel()
	var h heard
	s := alone(t, h.ServeHTTP, func(g *gateway.Gateway) { g.Limits.PerMinute = 100_000 })
	evil := []string{
		"Cookie: coder_session_token=evil", "Coder-Session-Token: evil", "coder_session_token: evil", "X-Forwarded-For: 10.6.6.6", "X-Forwarded-Host: evil",
		"X-Forwarded-Proto: evil", "X-Real-Ip: evil", "True-Client-Ip: evil", "Forwarded: for=evil", "X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE",
		"X-Coder-Bypass-Ratelimit: true", "Coder-Provisioner-Daemon-PSK: evil", "Coder-CLI-Telemetry: evil", "X-Original-Url: /evil", "X-Rewrite-Url: /evil",
		"Origin: https://app.example.com", "Referer: https://evil", "Te: trailers", "Keep-Alive: evil", "Proxy-Authorization: evil", "Proxy-Connection: evil",
		"X-Csrf-Token: evil", "Traceparent: evil", "Sec-Websocket-Protocol: evil", "Sec-Fetch-Site: same-origin", "X-Foo: evil", "Expect: evil",
	}
	for _, header := range append(evil, strings.Join(evil[:27], "\r\n")) {
		h.mu.Lock()
		h.list = nil
		h.mu.Unlock()
		for _, connection := range []string{"close", "close, Coder-Session-Token", "close, Authorization, Content-Type, X-Foo", "Coder-Session-Token, Host, Content-Length"} {
			text := strings.Replace(request("GET /coder/api/v2/workspaces", header), "Connection: close", "Connection: "+connection, 1)
			if strings.HasPrefix(header, "Expect") {
				if status, _ := s.raw(text); status != http.StatusExpectationFailed {
					t.Errorf("Expect: %d", status)
				}
				continue
			}
			if status, all := s.raw(text); status != http.StatusOK {
				t.Fatalf("%s: %s", header, all)
			}
			got := h.last(t)
			for name, values := range got.Header {
				if !slices.Contains([]string{"Coder-Session-Token", "X-Forwarded-For", "User-Agent", "Accept-Encoding"}, name) {
					t.Errorf("%s: %s: %v came through", header, name, values)
				}
				if strings.Contains(strings.Join(values, "|"), "evil") || strings.Contains(strings.Join(values, "|"), "10.6.6.6") {
					t.Errorf("%s: %s: %v came through", header, name, values)
				}
			}
			if got.Method != "GET" || got.Header.Get("Coder-Session-Token") != s.keys.keys["alice"] || len(got.Header.Values("X-Forwarded-For")) != 1 {
				t.Errorf("%s: %s %v", header, got.Method, got.Header)
			}
		}
	}
}

// What two servers could read in two ways: none of it makes a second request, or one of another length.
func TestSmugglingAndSplitting(t *testing.T) {
	t.Parallel()
	hidden := "GET /api/v2/users/me/keys/tokens HTTP/1.1\r\nHost: x\r\n\r\n"
	post := func(headers ...string) string {
		return strings.Replace(request("POST /coder/api/v2/files", append([]string{"Content-Type: application/x-tar"}, headers...)...), "Connection: close", "Connection: keep-alive", 1)
	}
	for name, text := range map[string]string{
		"both lengths":             post(fmt.Sprintf("Content-Length: %d", len("0\r\n\r\n"+hidden)), "Transfer-Encoding: chunked") + "0\r\n\r\n" + hidden,
		"two lengths":              post("Content-Length: 4", fmt.Sprintf("Content-Length: %d", 4+len(hidden))) + "abcd" + hidden,
		"odd encoding":             post("Transfer-Encoding: xchunked", "Content-Length: 4") + "abcd" + hidden,
		"two encodings":            post("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "0\r\n\r\n" + hidden,
		"space before colon":       post("Transfer-Encoding : chunked", "Content-Length: 4") + "abcd" + hidden,
		"tab":                      post("Transfer-Encoding:\tchunked") + "0\r\n\r\n" + hidden,
		"obsolete line folding":    post("X-A: b\r\n Transfer-Encoding: chunked", "Content-Length: 4") + "abcd" + hidden,
		"bare line feed":           post("X-A: b\nTransfer-Encoding: chunked", "Content-Length: 4") + "abcd" + hidden,
		"bare carriage return":     post("X-A: b\rTransfer-Encoding: chunked", "Content-Length: 4") + "abcd" + hidden,
		"sign in the length":       post("Content-Length: +4") + "abcd" + hidden,
		"chunk with extension":     post("Transfer-Encoding: chunked") + "4;a=b\r\nabcd\r\n0\r\n\r\n" + hidden,
		"chunk of bad size":        post("Transfer-Encoding: chunked") + "4 \r\nabcd\r\n0x0\r\n\r\n" + hidden,
		"trailer":                  post("Transfer-Encoding: chunked", "Trailer: Coder-Session-Token") + "4\r\nabcd\r\n0\r\nCoder-Session-Token: evil\r\nCookie: evil\r\n\r\n" + hidden,
		"line end in query":        request("GET /coder/api/v2/workspaces?q=a%0d%0aHost:%20evil"),
		"line end in the target":   "GET /coder/api/v2/workspaces\r\nX: /x HTTP/1.1\r\nHost: x\r\n\r\n",
		"upgrade that is none":     request("GET /coder/api/v2/workspaces", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA") + hidden,
		"get with a body":          strings.Replace(request("GET /coder/api/v2/workspaces", fmt.Sprintf("Content-Length: %d", len(hidden))), "Connection: close", "Connection: keep-alive", 1) + hidden,
		"prior knowledge of HTTP2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		var h heard
		s := alone(t, h.ServeHTTP)
		_, all := s.raw(text)
		s.wantNoKey(name, all)
		h.mu.Lock()
		if len(h.list) > 1 {
			t.Errorf("%s: %d requests came to Coder", name, len(h.list))
		}
		for i, r := range h.list {
			if strings.Contains(r.URL.Path, "keys") || r.Header.Get("Coder-Session-Token") != s.keys.keys["alice"] || len(r.Trailer) > 0 || r.Header.Get("Host") != "" || r.Header.Get("X-A") != "" {
				t.Errorf("%s: %s %v %v", name, r.RequestURI, r.Header, r.Trailer)
			}
			if len(r.Header.Values("Coder-Session-Token")) != 1 || r.Header.Get("Cookie") != "" {
				t.Errorf("%s: %v", name, r.Header)
			}
			if name == "line end in query" && r.RequestURI != "/api/v2/workspaces?q=a%0d%0aHost:%20evil" {
				t.Errorf("%s: %q", name, r.RequestURI)
			}
			if strings.Contains(h.body[i], "keys/tokens") && name != "get with a body" {
				t.Errorf("%s: body %q", name, h.body[i])
			}
		}
		h.mu.Unlock()
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

func TestUpgradeAbuse(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	agent := s.coder.AddWorkspace("alice", "dev").Agent.String()
	pty := "/coder/api/v2/workspaceagents/" + agent + "/pty?reconnect=" + uuid.NewString()
	socket := func(line string, change ...string) string {
		headers := []string{
			"Origin: " + page, "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
		}
		text := strings.Replace(request(line, headers...), "Connection: close", "Connection: Upgrade", 1)
		return strings.NewReplacer(change...).Replace(text)
	}
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"refused route":         {socket("GET /coder/api/v2/workspaceagents/" + agent + "/coordinate"), 403},
		"route without sockets": {socket("GET /coder/api/v2/users/me"), 403},
		"tokens":                {socket("GET /coder/api/v2/users/me/keys/tokens"), 403},
		"h2c":                   {socket("GET "+pty, "websocket\r\n", "h2c\r\n"), 400},
		"two protocols":         {socket("GET "+pty, "websocket\r\n", "websocket, h2c\r\n"), 400},
		"two headers":           {socket("GET "+pty, "Upgrade: websocket\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n"), 400},
		"another protocol":      {socket("GET "+pty, "websocket\r\n", "TLS/1.0\r\n"), 400},
		"without connection":    {socket("GET "+pty, "Connection: Upgrade", "Connection: keep-alive"), 400},
		"without upgrade":       {socket("GET "+pty, "Upgrade: websocket\r\n", ""), 400},
		"post":                  {socket("POST " + pty), 400},
		"a body":                {socket("GET "+pty, "Upgrade: websocket", "Content-Length: 5\r\nUpgrade: websocket") + "hello", 400},
		"old version":           {socket("GET "+pty, "Version: 13", "Version: 8"), 400},
		"no key":                {socket("GET "+pty, "Sec-WebSocket-Key", "X"), 400},
		"http 1.0":              {socket("GET "+pty, "HTTP/1.1", "HTTP/1.0"), 400},
	} {
		status, all := s.raw(c.text)
		if status != c.status {
			t.Errorf("%s: %.300s", name, all)
		}
	}
	s.wantUntouched("upgrade abuse")
	if status, all := s.raw(socket("GET " + pty)); status != http.StatusSwitchingProtocols {
		t.Errorf("a good one: %.300s", all)
	}
}

// A Coder, or something in its place, that answers an upgrade with what is no WebSocket opens no tunnel.
func TestNoTunnelWithoutAHandshake(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"wrong accept":         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
		"no accept":            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"h2c":                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
		"protocol not offered": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: evil\r\n\r\n",
		"of a plain request":   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: evil\r\nConnection: Upgrade\r\n\r\n",
	} {
		s := alone(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, answer)
			_, _ = bufio.NewReader(conn).ReadByte()
		})
		line := request("GET /coder/api/v2/notifications/inbox/watch", "Origin: "+page, "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
		if name == "of a plain request" {
			line = request("GET /coder/api/v2/users/me")
		} else {
			line = strings.Replace(line, "Connection: close", "Connection: Upgrade", 1)
		}
		if status, all := s.raw(line); status != http.StatusBadGateway {
			t.Errorf("%s: %.300s", name, all)
		}
	}
}

// What a bad or broken Coder answers does not reach the page.
func TestAnswersThatNeverGoThrough(t *testing.T) {
	t.Parallel()
	s := alone(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Set-Cookie", "coder_session_token="+r.Header.Get("Coder-Session-Token"))
		h.Set("Link", "</x>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		for _, name := range []string{
			"Coder-Session-Token", "X-Key", "Www-Authenticate", "Proxy-Authenticate", "Clear-Site-Data", "Refresh", "Strict-Transport-Security", "Alt-Svc",
			"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Content-Security-Policy", "Server", "Service-Worker-Allowed", "Authorization", "Trailer",
		} {
			h.Set(name, "evil "+r.Header.Get("Coder-Session-Token"))
		}
		h.Set("Trailer", "X-Late, Set-Cookie")
		h.Set("Content-Type", "text/html")
		fmt.Fprint(w, "<script>1</script>")
		_ = http.NewResponseController(w).Flush()
		h.Set("X-Late", "evil "+r.Header.Get("Coder-Session-Token"))
		h.Set(http.TrailerPrefix+"X-Later", "evil")
	})
	status, all := s.raw(request("GET /coder/api/v2/users/me", "Origin: "+page))
	s.wantNoKey("header", all)
	for _, word := range []string{"evil", "Early", "Link", "Set-Cookie", "Trailer", "Late"} {
		if strings.Contains(all, word) {
			t.Errorf("%d: %q in %s", status, word, all)
		}
	}
	if status != 200 || !strings.Contains(all, "Access-Control-Allow-Origin: "+page) || !strings.Contains(all, "X-Content-Type-Options: nosniff") || !strings.Contains(all, "sandbox") {
		t.Errorf("%s", all)
	}
}

func TestRedirectsLeadNowhereElse(t *testing.T) {
	t.Parallel()
	var location string
	followed := false
	s := alone(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v2/users/me" {
			followed = true
		}
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	for _, to := range []string{
		"https://evil.example/", "//evil.example/api/v2/users/me", "/login?redirect=%2F", "http://evil.example/api/v2/workspaces", s.gate.Coder + "/login", s.gate.Coder + ".evil.example/api/v2/workspaces",
		s.gate.Coder + "@evil.example/api/v2/x", "/api/v2/../login", "/api/v2/workspaces?access_token=x", "/api/v2/%2e%2e/x", "javascript:alert(1)", "api/v2/workspaces", "/\\evil.example/api/v2/x",
	} {
		location = to
		got := s.do("GET", "/api/v2/users/me", nil)
		if got.status != http.StatusBadGateway || got.header.Get("Location") != "" || strings.Contains(got.body, "evil.example") {
			t.Errorf("%s: %d %v %s", to, got.status, got.header, got.body)
		}
	}
	for _, to := range []string{"/api/v2/workspaces?limit=1", s.gate.Coder + "/api/v2/workspaces?limit=1"} {
		location = to
		if got := s.do("GET", "/api/v2/users/me", nil); got.header.Get("Location") != "/coder/api/v2/workspaces?limit=1" {
			t.Errorf("%s: %d %v", to, got.status, got.header)
		}
	}
	if followed {
		t.Error("a redirect was followed")
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
