package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"coderhook/hook/gateway"

	"github.com/google/uuid"
)

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
