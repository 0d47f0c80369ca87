package doctor_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/doctor"
	"coderhook/coderclient/codertest"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// project is an auth server as far as doctor asks it: texts by their paths.
type project struct {
	*httptest.Server
	mu    sync.Mutex
	paths map[string]string
}

const (
	jwksPath = "/auth/v1/.well-known/jwks.json"
	oidcPath = "/auth/v1/.well-known/openid-configuration"
	p256     = `{"kty":"EC","crv":"P-256","kid":"a","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
)

func newProject(t *testing.T) *project {
	p := &project{paths: map[string]string{jwksPath: `{"keys":[` + p256 + `]}`}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		text, ok := p.paths[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *project) say(path, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paths[path] = text
}

func TestDoctorOnAccessTokens(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.say(jwksPath, `{"keys":[]}`)
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	w.Variables["SUPABASE_URL"] = p.URL + "/"
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure access tokens")
	if !strings.Contains(found[0].Cure, "set SUPABASE_JWT_SECRET") {
		t.Errorf("%+v", found)
	}
	w.Variables["SUPABASE_JWT_SECRET"] = cmdtest.RandomSecret()
	cmdtest.WantResults(t, w.Doctor(t))
	delete(w.Variables, "SUPABASE_JWT_SECRET")
	p.say(jwksPath, `{"keys":[`+p256+`]}`) // without alg
	cmdtest.WantResults(t, w.Doctor(t))
	p.say(jwksPath, `{"keys":[{"kid":7},`+p256+`]}`)
	found = w.Doctor(t)
	cmdtest.WantResults(t, found, "warning access tokens")
	if !strings.Contains(found[0].Found, "key 1 is not used: not a JSON Web Key") {
		t.Errorf("%+v", found)
	}
	p.say(jwksPath, `<html>`)
	cmdtest.WantResults(t, w.Doctor(t), "failure access tokens")
}

// What the server would not follow, doctor does not follow either.
func TestDoctorReadsKeysAsTheServerDoes(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	redirect := httptest.NewServer(http.RedirectHandler(p.URL+jwksPath, http.StatusMovedPermanently))
	defer redirect.Close()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	w.Variables["SUPABASE_URL"] = redirect.URL
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure access tokens")
	if !strings.Contains(found[0].Found, "leads to "+p.URL+"; redirects are not followed") {
		t.Errorf("%+v", found)
	}
}

func TestDoctorComparesTheIssuer(t *testing.T) {
	t.Parallel()
	const local = "http://127.0.0.1:54321/auth/v1"
	for path, issuer := range map[string]string{
		oidcPath: local,
		"/auth/v1/.well-known/oauth-authorization-server": "https://old-name.supabase.co/auth/v1",
		"/.well-known/oauth-authorization-server":         "https://api.example.com",
		oidcPath + "?": "", // stock self-hosted
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			p.say(strings.TrimSuffix(path, "?"), `{"issuer":"`+issuer+`"}`)
			w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
			w.Variables["SUPABASE_URL"] = p.URL
			found := w.Doctor(t)
			cmdtest.WantResults(t, found, "failure issuer")
			want := "set SUPABASE_JWT_ISSUER=" + issuer
			if issuer == "" {
				want = "set SUPABASE_JWT_ISSUER=any,"
			}
			if !strings.Contains(found[0].Cure, want) || !strings.Contains(found[0].Found, p.URL+"/auth/v1") {
				t.Errorf("%+v", found)
			}
			w.Variables["SUPABASE_JWT_ISSUER"] = strings.ToUpper(issuer[:min(4, len(issuer))]) + issuer[min(4, len(issuer)):]
			if issuer == "" {
				w.Variables["SUPABASE_JWT_ISSUER"] = "any"
			}
			cmdtest.WantResults(t, w.Doctor(t))
		})
	}
}

// The running hook tells which issuer the last sign-in's claims named.
func TestDoctorLearnsTheIssuerOfTheLastSignIn(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	w.Variables["SUPABASE_URL"] = p.URL
	w.Coder.Configure(func(s *codertest.Settings) { s.MaxTokenLifetime = 30 * 24 * time.Hour })
	server := w.Start(t, "SUPABASE_URL="+p.URL,
		"LEDGER_SECRET="+w.Variables["LEDGER_SECRET"])
	w.URL = server.URL
	cmdtest.WantResults(t, w.Doctor(t)) // no sign-in yet
	user := w.DB.AddUser(t, "ada@example.com")
	if _, _, err := server.MintSigned(t.Context(), http.DefaultClient, w.Variables[config.SecretsVariable], user, "ada@example.com"); err != nil {
		t.Fatal(err) // its claims have no issuer
	}
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure issuer of the last sign-in")
	if !strings.Contains(found[0].Cure, "SUPABASE_JWT_ISSUER=any") {
		t.Errorf("%+v", found)
	}
	if log := server.Log(); !strings.Contains(log, "coderhook doctor") || !strings.Contains(log, "nobody (iss is missing)") {
		t.Error("the server does not warn")
	}
	w.Variables["SUPABASE_JWT_ISSUER"] = "any"
	cmdtest.WantResults(t, w.Doctor(t))
}

func TestDoctorOnPages(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	w.Variables["CORS_ORIGINS"] = "https://app.example.com"
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "warning pages")
	if !strings.Contains(found[0].Found, "501") {
		t.Errorf("%+v", found)
	}
	w.Variables["SUPABASE_JWT_SECRET"] = cmdtest.RandomSecret()
	cmdtest.WantResults(t, w.Doctor(t))
	w.Variables["CORS_ORIGINS"] = "https://*.vercel.app"
	cmdtest.WantResults(t, w.Doctor(t), "warning pages")
	delete(w.Variables, "CORS_ORIGINS")
	out := w.Text(t, "")
	if !strings.Contains(out, "ok       pages: CORS_ORIGINS is not set: servers may call") {
		t.Errorf("%s", out)
	}
}

func TestDoctorOnAToken(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	w.Variables["SUPABASE_JWT_SECRET"] = cmdtest.JWTSecret
	w.Variables["SUPABASE_JWT_ISSUER"] = "https://project.supabase.co/auth/v1"
	user := uuid.New()
	const key = "AbCdEfGhIj-0123456789012345678901"
	token := func(change func(jwt.MapClaims)) string {
		return cmdtest.AccessToken(t, user, func(c jwt.MapClaims) {
			c["iss"], c["app_metadata"] = "https://project.supabase.co/auth/v1", map[string]any{"api_key": key}
			if change != nil {
				change(c)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "token")
	judge := func(text string) string {
		t.Helper()
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out := w.Text(t, file)
		if len(text) > 40 && (strings.Contains(out, text) || strings.Contains(out, text[len(text)-30:])) || strings.Contains(out, key[11:]) {
			t.Errorf("a secret is printed: %s", out)
		}
		_, line, _ := strings.Cut(out, " the token: ")
		line, _, _ = strings.Cut(line, "\n\n")
		return line
	}
	if got := judge(token(nil)); !strings.Contains(got, "would be let in: user "+user.String()) || !strings.Contains(got, "with the Coder key AbCdEfGhIj") {
		t.Errorf("good: %s", got)
	}
	for name, test := range map[string]struct {
		token      string
		want, cure string
	}{
		"expired":      {token(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() }), "would be refused: expired", "refresh the session"},
		"other issuer": {token(func(c jwt.MapClaims) { c["iss"] = "http://localhost:54321/auth/v1" }), "issued by http://localhost:54321/auth/v1, and expected is https://project", "set SUPABASE_JWT_ISSUER=http://localhost:54321/auth/v1 if"},
		"no issuer":    {token(func(c jwt.MapClaims) { delete(c, "iss") }), "issued by nobody", "set SUPABASE_JWT_ISSUER=any"},
		"no e-mail":    {token(func(c jwt.MapClaims) { c["email"] = "" }), "is good (user " + user.String(), "e-mail address"},
		"other role":   {token(func(c jwt.MapClaims) { c["role"] = "editor" }), "other role", "ALLOWED_ROLES"},
		"third party":  {token(func(c jwt.MapClaims) { c["client_id"] = "x" }), "third-party OAuth client", "ALLOWED_CLIENT_IDS"},
		"another's":    {token(nil)[:len(token(nil))-8] + "AAAAAAAA", "would be refused", "SUPABASE"},
		"no token":     {"hunter2", "would be refused: not a Supabase access token", "access_token of a user's session"},
		"nothing":      {"", "would be refused: not a Supabase access token", "access_token of a user's session"},
		"very long":    {strings.Repeat("x", doctor.MaxTokenFile), "more than 65536 bytes", "access_token"},
	} {
		if got := judge(test.token); !strings.Contains(got, test.want) || !strings.Contains(got, test.cure) {
			t.Errorf("%s: %s", name, got)
		}
	}
	out := w.Text(t, token(nil))
	if strings.Contains(out, token(nil)[40:80]) || !strings.Contains(out, "failure  the token: --token: ") {
		t.Errorf("a token in the place of a file: %s", out)
	}
	delete(w.Variables, "SUPABASE_JWT_SECRET")
	if got := judge(token(nil)); !strings.Contains(got, "no access token is let in without") {
		t.Errorf("no front end: %s", got)
	}
}
