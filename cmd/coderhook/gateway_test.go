package main

import (
	"cmp"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

const gatewayPage = "https://app.example.com"

// A page with nothing but its Supabase session uses Coder through the whole program, and a terminal's WebSocket ends
// when its user is banned or the server stops.
func TestGateway(t *testing.T) {
	t.Parallel()
	for name, extra := range map[string][]string{
		"at the hook's port":     nil,
		"beside the front end":   {"FRONTEND_ADDR=127.0.0.1:0"},
		"with a port of its own": {"GATEWAY_ADDR=127.0.0.1:0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, coder := storetest.New(t), cmdtest.Coder(t)
			ada := db.AddUser(t, "ada@example.com")
			p := cmdtest.Start(t, db, coder, append([]string{
				"GATEWAY=on", "SUPABASE_JWT_SECRET=" + cmdtest.JWTSecret, "CORS_ORIGINS=" + gatewayPage,
			}, extra...)...)
			addr := cmp.Or(p.Gateway, p.FrontEnd, p.Addr)
			token := cmdtest.AccessToken(t, ada, nil)
			wantMe(t, addr, token, coder)
			first, second := dialTerminal(t, addr, token, coder, "first"), dialTerminal(t, addr, token, coder, "second")
			_ = first.Close(websocket.StatusNormalClosure, "")
			db.Exec(t, `update auth.users set banned_until = now() + interval '1 day' where id = $1`, ada)
			if _, _, err := second.Read(t.Context()); websocket.CloseStatus(err) != 3003 { // forbidden, as registered
				t.Errorf("after a ban: %v", err)
			}
			p.Stop(t)
		})
	}
}

// At the end of the server a page is told to come back.
func TestGatewayDrains(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	ada := db.AddUser(t, "ada@example.com")
	p := cmdtest.Start(t, db, coder, "GATEWAY=on", "SUPABASE_JWT_SECRET="+cmdtest.JWTSecret, "CORS_ORIGINS="+gatewayPage)
	token := cmdtest.AccessToken(t, ada, nil)
	wantMe(t, p.Addr, token, coder)
	terminal := dialTerminal(t, p.Addr, token, coder, "one")
	ended := make(chan error, 1)
	go func() {
		_, _, err := terminal.Read(t.Context())
		ended <- err
	}()
	p.Stop(t)
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("at the end: %v", err)
	}
}

// wantMe asks who the caller is in Coder. The account is made for that, and its key is in nothing that comes back.
func wantMe(t *testing.T, addr, token string, coder *codertest.Server) {
	t.Helper()
	var got string
	cmdtest.Eventually(t, "Coder answers", func() bool { // 202 while the key is being made
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/coder/api/v2/users/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		got = string(body)
		return response.StatusCode == http.StatusOK
	})
	if !strings.Contains(got, "ada@example.com") {
		t.Errorf("got %s", got)
	}
	for _, key := range coder.TokensOf(coder.Users()[0].Username) {
		if _, secret, _ := strings.Cut(key.Whole, "-"); strings.Contains(got, secret) {
			t.Error("the key is in the answer")
		}
	}
}

func dialTerminal(t *testing.T, addr, token string, coder *codertest.Server, workspace string) *websocket.Conn {
	t.Helper()
	agent := coder.AddWorkspace(coder.Users()[0].Username, workspace).Agent.String()
	conn, response, err := websocket.Dial(t.Context(), "ws://"+addr+"/coder/api/v2/workspaceagents/"+agent+"/pty?height=24&width=80&reconnect="+uuid.NewString(), &websocket.DialOptions{
		HTTPHeader:   http.Header{"Origin": {gatewayPage}},
		Subprotocols: []string{"coderhook.v1", "base64url.bearer.authorization.coderhook." + base64.RawURLEncoding.EncodeToString([]byte(token))},
	})
	if err != nil {
		t.Fatalf("%v %v", err, response)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	if _, prompt, err := conn.Read(t.Context()); err != nil || string(prompt) != "$ " {
		t.Fatalf("prompt: %q %v", prompt, err)
	}
	return conn
}
