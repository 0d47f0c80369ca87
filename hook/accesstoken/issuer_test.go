package accesstoken

import (
	"errors"
	"strings"
	"testing"
	"time"

	"coderhook/hook/authtest"

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

// What a token demands and this server does not know, it is refused for, whoever signed it.
func TestTokensThatDemandSomething(t *testing.T) {
	t.Parallel()
	project := authtest.NewIssuer(t)
	key, public := authtest.NewECKey(t, "ec")
	project.Publish(public)
	tokens := New(project.Url, authtest.JWTSecret, time.Now)
	for name, demand := range map[string]any{"b64": []string{"b64"}, "exp": []string{"exp"}, "empty": []string{}, "null": nil, "text": "x"} {
		for _, method := range []jwt.SigningMethod{jwt.SigningMethodES256, jwt.SigningMethodHS256} {
			token := jwt.NewWithClaims(method, jwt.MapClaims(project.Claims(authtest.User1, "ada@example.com")))
			token.Header["kid"], token.Header["crit"], token.Header["b64"] = "ec", demand, true
			var with any = key
			if method == jwt.SigningMethodHS256 {
				with = []byte(authtest.JWTSecret)
			}
			signed, err := token.SignedString(with)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tokens.Verify(t.Context(), signed); !errors.Is(err, errCritical) {
				t.Errorf("%s, %s: %v", name, method.Alg(), err)
			}
		}
	}
}
