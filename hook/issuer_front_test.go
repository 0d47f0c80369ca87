package hook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"coderhook/hook/accesstoken"
	"coderhook/hook/authtest"

	"github.com/golang-jwt/jwt/v5"
)

// Tokens as self-hosted projects, the CLI and custom domains make them. The signature is the project's in each.
func TestIssuersOfRealProjects(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user := f.db.AddUser(t, "ada@example.com")
	token := func(issuer any) string {
		claims := f.project.Claims(user.String(), "ada@example.com")
		if claims["iss"] = issuer; issuer == nil {
			delete(claims, "iss")
		}
		return f.sign(t, claims)
	}
	ours := f.project.Url + "/auth/v1"
	for name, test := range map[string]struct {
		issuers accesstoken.Issuers
		issuer  any
		found   string // in the refusal; "" where the token is taken
	}{
		"none":                   {accesstoken.Issuers{ours}, nil, "nobody (iss is missing)"},
		"none, any taken":        {accesstoken.Issuers{accesstoken.AnyIssuer}, nil, ""},
		"no path":                {accesstoken.Issuers{ours}, f.project.Url, f.project.Url},
		"no path, named":         {accesstoken.Issuers{ours, f.project.Url}, f.project.Url, ""},
		"localhost":              {accesstoken.Issuers{ours}, "http://localhost:54321/auth/v1", "http://localhost:54321/auth/v1"},
		"localhost, named":       {accesstoken.Issuers{"http://LOCALHOST:54321/auth/v1"}, "http://localhost:54321/auth/v1", ""},
		"another project":        {accesstoken.Issuers{ours}, "https://other.supabase.co/auth/v1", "https://other.supabase.co/auth/v1"},
		"a quote and a new line": {accesstoken.Issuers{ours}, "a\"b\r\nSet-Cookie: x", "a?b??Set-Cookie: x"},
		"very long":              {accesstoken.Issuers{ours}, strings.Repeat("x", 5000), strings.Repeat("x", 200) + ", and"},
	} {
		f.FrontEnd.Callers.Tokens.Issuers = test.issuers
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

// A key that is not known while the keys may be old is no reason to sign anybody out.
func TestNewKeyWhileTheKeysAreOld(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user := f.db.AddUser(t, "ada@example.com")
	if got := f.create(t, f.token(t, user, "")); got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	newKey, _ := authtest.NewECKey(t, "new")
	got := f.create(t, authtest.Issue(t, jwt.SigningMethodES256, "new", newKey, f.project.Claims(user.String(), "ada@example.com")))
	got.wantRefusal(t, "new key", http.StatusServiceUnavailable, "signed with a key that is not known yet: try again")
	if after := got.header.Get("Retry-After"); after == "" || len(after) > 2 || got.header.Get("WWW-Authenticate") != "" {
		t.Errorf("%v", got.header)
	}
	old := f.project.Claims(user.String(), "ada@example.com")
	old["iat"] = time.Now().Add(-time.Hour).Unix()
	f.create(t, authtest.Issue(t, jwt.SigningMethodES256, "withdrawn", newKey, old)).wantRefusal(t, "withdrawn key", http.StatusUnauthorized, "this project does not have")
}
