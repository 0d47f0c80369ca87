package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
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
			if err := endOf(t, second); websocket.CloseStatus(err) != 3003 { // forbidden, as registered
				t.Errorf("after a ban: %v", err)
			}
			p.Stop(t)
		})
	}
}

// Who signs out in Supabase has no socket two seconds later, and opens no other with the token that is still good: that
// session alone ends, not the user's others.
func TestGatewaySignOut(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	ada := db.AddUser(t, "ada@example.com")
	p := cmdtest.Start(t, db, coder, "GATEWAY=on", "SUPABASE_JWT_SECRET="+cmdtest.JWTSecret, "CORS_ORIGINS="+gatewayPage)
	tokens := make([]string, 3)
	sessions := []uuid.UUID{uuid.New(), uuid.New()}
	for i, session := range sessions {
		db.Exec(t, `insert into auth.sessions (id, user_id) values ($1, $2)`, session, ada)
		tokens[i] = cmdtest.AccessToken(t, ada, func(c jwt.MapClaims) { c["session_id"] = session.String() })
	}
	tokens[2] = cmdtest.AccessToken(t, ada, nil) // without a session
	wantMe(t, p.Addr, tokens[0], coder)
	var open []*websocket.Conn
	for i, workspace := range []string{"first", "second", "third"} {
		open = append(open, dialTerminal(t, p.Addr, tokens[i], coder, workspace))
	}
	db.Exec(t, `delete from auth.sessions where id = $1`, sessions[0]) // as Supabase Auth does
	if err := endOf(t, open[0]); websocket.CloseStatus(err) != 3003 {
		t.Errorf("after the sign-out: %v", err)
	}
	if status, text := askGateway(t, p.Addr, tokens[0], "/users/me"); status != http.StatusUnauthorized || !strings.Contains(text, "sign in again") {
		t.Errorf("signed out: %d %s", status, text)
	}
	for i := 1; i < 3; i++ {
		if status, text := askGateway(t, p.Addr, tokens[i], "/users/me"); status != http.StatusOK {
			t.Errorf("session %d: %d %s", i, status, text)
		}
		if err := open[i].Ping(open[i].CloseRead(t.Context())); err != nil {
			t.Errorf("session %d: %v", i, err)
		}
	}
	// Where nobody can tell, nobody is signed out.
	db.Exec(t, `drop table auth.sessions`)
	cmdtest.Eventually(t, "it says so", func() bool { return strings.Contains(p.Log(), "auth.sessions can't be read") })
	if status, text := askGateway(t, p.Addr, tokens[1], "/users/me"); status != http.StatusOK {
		t.Errorf("without the table: %d %s", status, text)
	}
	p.Stop(t)
}

// A key that was ended in Coder is checked, renewed, and what was asked is asked once more, with its body: the page
// notices nothing.
func TestGatewayRenewsARefusedKey(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	ada := db.AddUser(t, "ada@example.com")
	p := cmdtest.Start(t, db, coder, "GATEWAY=on", "SUPABASE_JWT_SECRET="+cmdtest.JWTSecret, "CORS_ORIGINS="+gatewayPage,
		"OTEL_TRACES_EXPORTER=console", "OTEL_BSP_SCHEDULE_DELAY=10", "ADMIN_ADDR=127.0.0.1:0")
	token := cmdtest.AccessToken(t, ada, nil)
	wantMe(t, p.Addr, token, coder)
	stored := func() string {
		return storetest.Query[string](t, db, `select coalesce(max(api_key), '') from public.profiles`)
	}
	for n, ask := range []func() (int, string){
		func() (int, string) { return askGateway(t, p.Addr, token, "/users/me") },
		func() (int, string) {
			status, made := callGateway(t, http.MethodPost, p.Addr, token, "/files", "what was uploaded")
			var file struct{ Hash string }
			if err := json.Unmarshal([]byte(made), &file); status != http.StatusCreated || err != nil {
				return status, made
			}
			status, text := askGateway(t, p.Addr, token, "/files/"+file.Hash)
			if text != "what was uploaded" {
				t.Errorf("uploaded was %q", text)
			}
			return status, text
		},
	} {
		cmdtest.Eventually(t, "the key is stored", func() bool { return works(coder, stored()) })
		old := stored()
		coder.DeleteKey(old[:10])
		coder.ForgetRequests()
		if status, text := ask(); status != http.StatusOK {
			t.Fatalf("request %d: %d %s", n, status, text)
		}
		cmdtest.Eventually(t, "another key is stored", func() bool { return stored() != old && works(coder, stored()) })
	}
	if got := cmdtest.Get(t, "http://"+p.Admin+"/metrics"); !strings.Contains(got, "\ncoderhook_gateway_repeated_total 2\n") {
		t.Error("not repeated twice")
	}
	key := stored()
	p.Stop(t)
	traces := p.Output()
	for _, want := range []string{`"Name":"gateway user"`, `"http.route"`, `"http.response.status_code"`} {
		if !strings.Contains(traces, want) {
			t.Errorf("no %s in the traces", want)
		}
	}
	for _, secret := range []string{key[11:], token, "ada@example.com", ada.String()} {
		if strings.Contains(traces, secret) {
			t.Errorf("%.4s… stands in the traces", secret)
		}
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
	go func() { ended <- endOf(t, terminal) }()
	p.Stop(t)
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("at the end: %v", err)
	}
}

// endOf waits for a socket's end. One that does not come is an error, too.
func endOf(t *testing.T, conn *websocket.Conn) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, _, err := conn.Read(ctx)
	return err
}

// wantMe asks who the caller is in Coder. The account is made for that, and its key is in nothing that comes back.
func wantMe(t *testing.T, addr, token string, coder *codertest.Server) {
	t.Helper()
	var got string
	cmdtest.Eventually(t, "Coder answers", func() bool { // 202 while the key is being made
		status, body := askGateway(t, addr, token, "/users/me")
		got = body
		return status == http.StatusOK
	})
	if !strings.Contains(got, "ada@example.com") {
		t.Errorf("got %s", got)
	}
	for _, user := range coder.Users() {
		for _, key := range coder.TokensOf(user.Username) {
			if _, secret, _ := strings.Cut(key.Whole, "-"); strings.Contains(got, secret) {
				t.Error("the key is in the answer")
			}
		}
	}
}

func dialTerminal(t *testing.T, addr, token string, coder *codertest.Server, workspace string) *websocket.Conn {
	t.Helper()
	return dialTerminalBy(t, http.DefaultClient, "http://"+addr, token, coder, workspace)
}

func dialTerminalBy(t *testing.T, client *http.Client, base, token string, coder *codertest.Server, workspace string) *websocket.Conn {
	t.Helper()
	agent := coder.AddWorkspace(coder.Users()[0].Username, workspace).Agent.String()
	conn, response, err := websocket.Dial(t.Context(), base+"/coder/api/v2/workspaceagents/"+agent+"/pty?height=24&width=80&reconnect="+uuid.NewString(), &websocket.DialOptions{
		HTTPClient:   client,
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

// Whom the front end's routes do not let in the gateway does not either; what is refused stands in the audit trail.
func TestGatewayRefuses(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	ada, eve, bob := db.AddUser(t, "ada@example.com"), db.AddUser(t, "eve@example.com"), db.AddUser(t, "bob@example.com")
	coder.AddUser("taken", "eve@example.com", "password")
	db.Exec(t, `update auth.users set banned_until = now() + interval '1 day' where id = $1`, bob)
	p := cmdtest.Start(t, db, coder, "GATEWAY=on", "SUPABASE_JWT_SECRET="+cmdtest.JWTSecret, "CORS_ORIGINS="+gatewayPage)
	good := cmdtest.AccessToken(t, ada, nil)
	wantMe(t, p.Addr, good, coder)
	with := func(user uuid.UUID, name string, value any) string {
		return cmdtest.AccessToken(t, user, func(c jwt.MapClaims) { c[name] = value })
	}
	for name, test := range map[string]struct {
		token, path string
		want        int
	}{
		"no token":      {"", "/users/me", http.StatusUnauthorized},
		"not a token":   {"rubbish", "/users/me", http.StatusUnauthorized},
		"expired":       {with(ada, "exp", 1), "/users/me", http.StatusUnauthorized},
		"anonymous":     {with(ada, "is_anonymous", true), "/users/me", http.StatusForbidden},
		"OAuth client":  {with(ada, "client_id", "other"), "/users/me", http.StatusForbidden},
		"conflict":      {with(eve, "email", "eve@example.com"), "/users/me", http.StatusConflict},
		"banned":        {with(bob, "email", "bob@example.com"), "/users/me", http.StatusConflict}, // as the front end's routes answer
		"refused route": {good, "/users/me/keys", http.StatusForbidden},
	} {
		if got, text := askGateway(t, p.Addr, test.token, test.path); got != test.want {
			t.Errorf("%s: %d %s, want %d", name, got, text, test.want)
		}
	}
	if users := coder.Users(); len(users) != 2 { // ada's, and the one that was there
		t.Errorf("Coder has %+v", users)
	}
	cmdtest.Eventually(t, "a row in the audit trail", func() bool {
		return storetest.Query[int](t, db, `select count(*) from coderhook.audit where action = 'route-refused' and user_id = $1 and detail like 'keys: GET %'`, ada) == 1
	})
	p.Stop(t)
	if log := p.Log(); strings.Contains(log, good) {
		t.Error("the token is in the log")
	}
}

func askGateway(t *testing.T, addr, token, path string) (status int, body string) {
	t.Helper()
	return callGateway(t, http.MethodGet, addr, token, path, "")
}

func callGateway(t *testing.T, method, addr, token, path, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+"/coder/api/v2"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-tar") // as an upload needs
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// At a port of its own the gateway is for many, and where sign-ins come in it leaves room for them.
func TestGatewayLimits(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	for _, test := range []struct {
		extra string
		want  []string
	}{
		{"GATEWAY_ADDR=127.0.0.1:0", []string{"coderhook_gateway_open_limit 4096\n", `coderhook_connections_limit{listener="gateway"} 4096`, `coderhook_connections_limit{listener="hook"} 1024`}},
		{"GATEWAY_ADDR=", []string{"coderhook_gateway_open_limit 512\n", "coderhook_gateway_open 0\n", `coderhook_connections_limit{listener="hook"} 1024`}},
	} {
		p := cmdtest.Start(t, db, coder, "GATEWAY=on", "SUPABASE_JWT_SECRET="+cmdtest.JWTSecret, "CORS_ORIGINS="+gatewayPage, "ADMIN_ADDR=127.0.0.1:0", test.extra)
		metrics := cmdtest.Get(t, "http://"+p.Admin+"/metrics")
		for _, want := range test.want {
			if !strings.Contains(metrics, want) {
				t.Errorf("%s: no %s", test.extra, want)
			}
		}
	}
}
