package hook

import (
	"crypto/ecdsa"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"coderhook/hook/accesstoken"
	"coderhook/hook/authtest"
	"coderhook/hook/frontend"
	"coderhook/hook/policy"
	"coderhook/hook/provision"
	"coderhook/hook/webhook"
	"coderhook/store/storetest"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

const (
	createRoute   = "/create-coder-user"
	redirectRoute = "/applications/auth-redirect"
	appURI        = "https://code--main--ws--ada.apps.localhost/p?x=1"
	page          = "https://app.example.com"
)

// front is a world with a project whose users' front end may call.
type front struct {
	*world
	project *authtest.Issuer
	signer  *ecdsa.PrivateKey
}

func newFront(t *testing.T, s settings) *front {
	t.Helper()
	f := &front{project: authtest.NewIssuer(t)}
	var public map[string]any
	f.signer, public = authtest.NewECKey(t, "ec")
	f.project.Publish(public)
	others := s.server
	s.server = func(server *Server) {
		server.FrontEnd.Callers.Tokens = accesstoken.New(f.project.Url, authtest.JWTSecret, time.Now)
		server.FrontEnd.Callers.Tokens.Log = server.Log
		server.FrontEnd.CORS = frontend.CORS{Origins: []string{page, "http://localhost:5173"}}
		if others != nil {
			others(server)
		}
	}
	f.world = newWorld(t, s)
	return f
}

// token is an access token as the project issues it, with the key that it may carry.
func (f *front) token(t testing.TB, user uuid.UUID, key string) string {
	t.Helper()
	claims := f.project.Claims(user.String(), "ada@example.com")
	if key != "" {
		claims["app_metadata"] = map[string]any{"api_key": key}
	}
	return f.sign(t, claims)
}

func (f *front) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	return authtest.Issue(t, jwt.SigningMethodES256, "ec", f.signer, claims)
}

// create asks for the user's Coder account.
func (f *front) create(t testing.TB, token string) reply {
	t.Helper()
	return f.send(t, http.MethodPost, createRoute, token, nil, nil)
}

// enter asks for the way into a workspace app.
func (f *front) enter(t testing.TB, token, uri string, accept ...string) reply {
	t.Helper()
	query := "?redirect_uri=" + url.QueryEscape(uri)
	return f.send(t, http.MethodGet, redirectRoute+query, token, http.Header{"Accept": accept}, nil)
}

// send makes a request and follows no redirect. Without a token it has no Authorization header.
func (f *front) send(t testing.TB, method, path, token string, header http.Header, body io.Reader) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, f.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{status: response.StatusCode, body: text, header: response.Header}
}

// wantRefusal checks status, text and shape of an error.
func (r reply) wantRefusal(t testing.TB, what string, status int, text string) {
	t.Helper()
	var answer webhook.ErrorBody
	if err := json.Unmarshal(r.body, &answer); err != nil || r.status != status ||
		answer.Error.Code != status || !strings.Contains(answer.Error.Message, text) {
		t.Errorf("%s: %d %s, want %d with %q", what, r.status, r.body, status, text)
	}
}

// bothRoutes are well-formed requests but for what a test makes of them.
var bothRoutes = map[string]string{
	http.MethodPost: createRoute,
	http.MethodGet:  redirectRoute + "?redirect_uri=" + url.QueryEscape(appURI),
}

func TestFrontEndIsNotSetUp(t *testing.T) {
	t.Parallel()
	f := newFront(t, settings{profile: profiles[1], options: provision.DefaultOptions(), server: func(s *Server) { s.FrontEnd.Callers.Tokens = nil }})
	for method, path := range bothRoutes {
		f.send(t, method, path, "x", nil, nil).wantRefusal(t, path, 501, "set SUPABASE_URL (or SUPABASE_JWT_SECRET)")
	}
}

// Whoever is refused makes no call to Coder and leaves nothing behind.
func TestFrontEndRefusesTokens(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user := f.db.AddUser(t, "ada@example.com")
	with := func(name string, value any) string {
		claims := f.project.Claims(user.String(), "ada@example.com")
		claims[name] = value
		return f.sign(t, claims)
	}
	f.FrontEnd.Callers.Policy.RequireAAL = "aal2"
	stranger, _ := authtest.NewECKey(t, "ec")
	for name, test := range map[string]struct {
		token, want string
		status      int // 401 only where a refresh may help
	}{
		"no JWT":             {"x", "not a Supabase access token", 401},
		"other key":          {authtest.Issue(t, jwt.SigningMethodES256, "ec", stranger, f.project.Claims(user.String(), "")), "the signature is not this project's", 401},
		"expired":            {with("exp", time.Now().Unix()-1), "expired: refresh the session", 401},
		"anonymous":          {with("is_anonymous", true), policy.SkipAnonymous, 403},
		"third-party client": {with("client_id", "theirs"), policy.SkipOAuthClient, 403},
		"service role":       {with("role", "service_role"), policy.SkipRole, 403},
		"no e-mail":          {with("email", ""), policy.SkipNoEmail, 403},
		"assurance level":    {with("aal", "aal1"), policy.SkipAAL, 403},
	} {
		for method, path := range bothRoutes {
			got := f.send(t, method, path, test.token, nil, nil)
			got.wantRefusal(t, name, test.status, test.want)
			challenge := got.header.Get("WWW-Authenticate")
			if strings.HasPrefix(challenge, `Bearer error="invalid_token", error_description="access token: `) != (test.status == 401) {
				t.Errorf("%s: WWW-Authenticate: %s", name, challenge)
			}
		}
	}
	for method, path := range bothRoutes {
		for name, header := range map[string]http.Header{
			"no header":    {},
			"other scheme": {"Authorization": {"Basic eDp5"}},
			"no token":     {"Authorization": {"Bearer "}},
			"two headers":  {"Authorization": {"Bearer x", "Bearer y"}},
		} {
			got := f.send(t, method, path, "", header, nil)
			got.wantRefusal(t, name, 401, "send the user's Supabase access token")
			if got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: %v", name, got.header)
			}
		}
	}
	f.wantNothing(t)
}

// wantNothing checks that nothing was made, and Coder not asked for anything.
func (f *front) wantNothing(t testing.TB) {
	t.Helper()
	if rows := storetest.Query[int](t, f.db, `select count(*) from coderhook.accounts`); rows > 0 || len(f.coder.Requests()) > 0 {
		t.Errorf("something was made: %d ledger rows, %v", rows, f.coder.Requests())
	}
}

// A client of the allow-list acts for its user here as in the hook.
func TestFrontEndTakesAllowedClients(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	f.FrontEnd.Callers.Policy.AllowedClients = []string{"ours"}
	user := f.db.AddUser(t, "ada@example.com")
	claims := f.project.Claims(user.String(), "ada@example.com")
	claims["client_id"] = "ours"
	if got := f.create(t, f.sign(t, claims)); got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestTokensCanNotBeVerifiedWithoutKeys(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	f.project.Down.Store(true)
	token := f.token(t, uuid.New(), "")
	for method, path := range bothRoutes {
		got := f.send(t, method, path, token, nil, nil)
		got.wantRefusal(t, path, 503, "can't be verified at the moment")
		if got.header.Get("Retry-After") != "5" {
			t.Errorf("%v", got.header)
		}
	}
	f.wantNothing(t)
}

// What is too large is refused before anybody looks at the token.
func TestFrontEndRefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	token := f.token(t, uuid.New(), "")
	for method, path := range bothRoutes {
		f.send(t, method, strings.Split(path, "?")[0]+"?redirect_uri="+strings.Repeat("x", frontend.MaxQuery), token, nil, nil).
			wantRefusal(t, "query", 414, "the query is larger than 4 KiB")
		f.send(t, method, path, strings.Repeat("x", frontend.MaxHeader), nil, nil).
			wantRefusal(t, "token", 431, "the headers are larger than 32 KiB")
		f.send(t, method, path, token, http.Header{"X-Other": {strings.Repeat("x", frontend.MaxHeader)}}, nil).
			wantRefusal(t, "header", 431, "the headers are larger than 32 KiB")
		f.send(t, method, path, token, nil, strings.NewReader(strings.Repeat("x", frontend.MaxBody+1))).
			wantRefusal(t, "body", 413, "the body is larger than 4 KiB")
		chunked := io.MultiReader(strings.NewReader(strings.Repeat("x", frontend.MaxBody)), strings.NewReader("x"))
		f.send(t, method, path, token, nil, chunked).
			wantRefusal(t, "chunked body", 413, "the body is larger than 4 KiB")
	}
	f.wantNothing(t)
	if n := f.project.Fetches.Load(); n > 0 {
		t.Errorf("the token was looked at: %d fetches", n)
	}
}

// Both routes count together, each user for themself, and a refused call does not count.
func TestFrontEndLimitsEachUser(t *testing.T) {
	t.Parallel()
	at := authtest.NewClock()
	s := patient()
	s.server = func(server *Server) { server.Now = at.Now }
	f := newFront(t, s)
	user := f.db.AddUser(t, "ada@example.com")
	token := f.token(t, user, "")
	for i := range frontend.CallsAtOnce {
		if got := f.create(t, token); got.status/100 != 2 {
			t.Fatalf("call %d: %d %s", i, got.status, got.body)
		}
	}
	f.coder.ForgetRequests()
	for range 3 {
		for method, path := range bothRoutes {
			got := f.send(t, method, path, token, nil, nil)
			got.wantRefusal(t, path, 429, "too many requests for this user")
			if got.header.Get("Retry-After") != "3" {
				t.Errorf("Retry-After: %v", got.header)
			}
		}
	}
	if calls := f.coder.Requests(); len(calls) > 0 {
		t.Errorf("Coder was asked: %v", calls)
	}
	if got := f.enter(t, f.token(t, f.db.AddUser(t, "eve@example.com"), ""), "nonsense"); got.status != 400 {
		t.Errorf("somebody else: %d %s", got.status, got.body)
	}
	at.Advance(frontend.CallInterval)
	if got := f.create(t, token); got.status != 200 {
		t.Errorf("after the interval: %d %s", got.status, got.body)
	}
	f.create(t, token).wantRefusal(t, "the one after", 429, "too many")
}
