package hook

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestIssuersAreCompared(t *testing.T) {
	t.Parallel()
	const known = "https://project.supabase.co/auth/v1"
	for issuer, want := range map[string]bool{
		known:                                                  true,
		"HTTPS://Project.Supabase.CO/auth/v1":                  true,
		known + "/":                                            false,
		"https://project.supabase.co/Auth/v1":                  false,
		"https://project.supabase.co":                          false,
		"http://project.supabase.co/auth/v1":                   false,
		"https://project.supabase.co:443/auth/v1":              false,
		"https://project.supabase.co.evil.com/auth/v1":         false,
		"https://evil.com/https://project.supabase.co/auth/v1": false,
		"https://x@project.supabase.co/auth/v1":                false,
		"https://project.supabase.co/auth/v1#x":                false,
		"":                                                     false,
	} {
		if got := (Issuers{"other", known}).Takes(issuer); got != want {
			t.Errorf("%q: %v", issuer, got)
		}
		if !(Issuers{AnyIssuer}).Takes(issuer) || !(Issuers{}).Takes(issuer) {
			t.Errorf("any does not take %q", issuer)
		}
	}
	for want, bad := range map[string]Issuers{"beside others": {"x", AnyIssuer}, "is no issuer": {"a\"b"}} {
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := (Issuers{known, "supabase"}).Check(); err != nil {
		t.Error(err)
	}
}

// Tokens as self-hosted projects, the CLI and custom domains make them. The signature is the project's in each.
func TestIssuersOfRealProjects(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user := f.db.AddUser(t, "ada@example.com")
	token := func(issuer any) string {
		claims := f.project.claims(user.String(), "ada@example.com")
		if claims["iss"] = issuer; issuer == nil {
			delete(claims, "iss")
		}
		return f.sign(t, claims)
	}
	ours := f.project.url + "/auth/v1"
	for name, test := range map[string]struct {
		issuers Issuers
		issuer  any
		found   string // in the refusal; "" where the token is taken
	}{
		"none":                   {Issuers{ours}, nil, "nobody (iss is missing)"},
		"none, any taken":        {Issuers{AnyIssuer}, nil, ""},
		"no path":                {Issuers{ours}, f.project.url, f.project.url},
		"no path, named":         {Issuers{ours, f.project.url}, f.project.url, ""},
		"localhost":              {Issuers{ours}, "http://localhost:54321/auth/v1", "http://localhost:54321/auth/v1"},
		"localhost, named":       {Issuers{"http://LOCALHOST:54321/auth/v1"}, "http://localhost:54321/auth/v1", ""},
		"another project":        {Issuers{ours}, "https://other.supabase.co/auth/v1", "https://other.supabase.co/auth/v1"},
		"a quote and a new line": {Issuers{ours}, "a\"b\r\nSet-Cookie: x", "a?b??Set-Cookie: x"},
		"very long":              {Issuers{ours}, strings.Repeat("x", 5000), strings.Repeat("x", 200) + ", and"},
	} {
		f.FrontEnd.Tokens.Issuers = test.issuers
		got := f.create(t, token(test.issuer))
		if test.found == "" {
			if got.status/100 != 2 {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
			continue
		}
		got.wantRefusal(t, name, http.StatusUnauthorized, "issued by "+test.found)
		got.wantRefusal(t, name, http.StatusUnauthorized, "expected is "+test.issuers.String())
		if strings.Count(got.header.Get("WWW-Authenticate"), `"`) != 4 || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %v", name, got.header)
		}
	}
	if log := f.log.String(); !strings.Contains(log, "issued by https://other.supabase.co/auth/v1, and expected is "+ours) {
		t.Errorf("not in the log:\n%s", log)
	}
}

// What a token demands and this server does not know, it is refused for, whoever signed it.
func TestTokensThatDemandSomething(t *testing.T) {
	t.Parallel()
	project := newIssuer(t)
	key, public := newECKey(t, "ec")
	project.publish(public)
	tokens := NewAccessTokens(project.url, jwtSecret, time.Now)
	for name, demand := range map[string]any{"b64": []string{"b64"}, "exp": []string{"exp"}, "empty": []string{}, "null": nil, "text": "x"} {
		for _, method := range []jwt.SigningMethod{jwt.SigningMethodES256, jwt.SigningMethodHS256} {
			token := jwt.NewWithClaims(method, jwt.MapClaims(project.claims(user1, "ada@example.com")))
			token.Header["kid"], token.Header["crit"], token.Header["b64"] = "ec", demand, true
			var with any = key
			if method == jwt.SigningMethodHS256 {
				with = []byte(jwtSecret)
			}
			signed, err := token.SignedString(with)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tokens.verify(t.Context(), signed); !errors.Is(err, errCritical) {
				t.Errorf("%s, %s: %v", name, method.Alg(), err)
			}
		}
	}
}

// A key that is not known while the keys may be old is no reason to sign anybody out.
func TestNewKeyWhileTheKeysAreOld(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user := f.db.AddUser(t, "ada@example.com")
	if got := f.create(t, f.token(t, user, "")); got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	newKey, _ := newECKey(t, "new")
	got := f.create(t, issue(t, jwt.SigningMethodES256, "new", newKey, f.project.claims(user.String(), "ada@example.com")))
	got.wantRefusal(t, "new key", http.StatusServiceUnavailable, "signed with a key that is not known yet: try again")
	if after := got.header.Get("Retry-After"); after == "" || len(after) > 2 || got.header.Get("WWW-Authenticate") != "" {
		t.Errorf("%v", got.header)
	}
	old := f.project.claims(user.String(), "ada@example.com")
	old["iat"] = time.Now().Add(-time.Hour).Unix()
	f.create(t, issue(t, jwt.SigningMethodES256, "withdrawn", newKey, old)).wantRefusal(t, "withdrawn key", http.StatusUnauthorized, "this project does not have")
}
