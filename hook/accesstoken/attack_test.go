package accesstoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"coderhook/hook/authtest"
	"coderhook/hook/policy"

	"github.com/golang-jwt/jwt/v5"
)

// hmacToken signs any header and claims by HMAC, as no library would.
func hmacToken(header, claims, secret string) string {
	text := authtest.Base64URL([]byte(header)) + "." + authtest.Base64URL([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + authtest.Base64URL(mac.Sum(nil))
}

// Tokens whose makers know all that is public, and try to have it taken for something else.
func TestTokenConfusion(t *testing.T) {
	t.Parallel()
	project := authtest.NewIssuer(t)
	key, public := authtest.NewECKey(t, "ec")
	rsaKey, rsaPublic := authtest.NewRSAKey(t, "rsa")
	evil, evilPublic := authtest.NewECKey(t, "ec")
	project.Publish(public, rsaPublic)
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	claims := project.Claims(authtest.User1, "ada@example.com")
	text := string(authtest.JSON(t, claims))
	good := authtest.Issue(t, jwt.SigningMethodES256, "ec", key, claims)
	parts := strings.Split(good, ".")
	signedBy := func(key any, header map[string]any) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims(claims))
		token.Header["kid"] = "ec"
		for name, value := range header {
			token.Header[name] = value
		}
		signed, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	with := func(name string, value any) string {
		changed := project.Claims(authtest.User1, "ada@example.com")
		changed[name] = value
		return authtest.Issue(t, jwt.SigningMethodES256, "ec", key, changed)
	}
	attacks := map[string]string{
		"none":                    authtest.Base64URL([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"None":                    authtest.Base64URL([]byte(`{"alg":"None","kid":"ec"}`)) + "." + parts[1] + ".",
		"nOnE with a signature":   authtest.Base64URL([]byte(`{"alg":"nOnE","kid":"ec"}`)) + "." + parts[1] + "." + parts[2],
		"no algorithm":            authtest.Base64URL([]byte(`{"kid":"ec"}`)) + "." + parts[1] + "." + parts[2],
		"null algorithm":          authtest.Base64URL([]byte(`{"alg":null,"kid":"ec"}`)) + "." + parts[1] + "." + parts[2],
		"list of algorithms":      authtest.Base64URL([]byte(`{"alg":["HS256","ES256"],"kid":"ec"}`)) + "." + parts[1] + "." + parts[2],
		"HMAC with the DER":       hmacToken(`{"alg":"HS256","kid":"rsa"}`, text, string(der)),
		"HMAC with the PEM":       hmacToken(`{"alg":"HS256","kid":"rsa"}`, text, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))),
		"HMAC with the modulus":   hmacToken(`{"alg":"HS256","kid":"rsa"}`, text, rsaPublic["n"].(string)),
		"HMAC with the JWK":       hmacToken(`{"alg":"HS256","kid":"ec"}`, text, string(authtest.JSON(t, public))),
		"HMAC with nothing":       hmacToken(`{"alg":"HS256"}`, text, ""),
		"HMAC, two algorithms":    hmacToken(`{"alg":"ES256","alg":"HS256","kid":"ec"}`, text, public["x"].(string)),
		"ES256 with HMAC's bytes": hmacToken(`{"alg":"ES256","kid":"ec"}`, text, "x"),
		"own key in the header":   signedBy(evil, map[string]any{"jwk": evilPublic}),
		"own key set's address":   signedBy(evil, map[string]any{"jku": "https://evil.com/jwks.json", "x5u": "https://evil.com/x"}),
		"key id is a list":        signedBy(key, map[string]any{"kid": []string{"ec"}}),
		"key id is a number":      signedBy(key, map[string]any{"kid": 7}),
		"key id of a path":        signedBy(key, map[string]any{"kid": "../ec"}),
		"key id of SQL":           signedBy(key, map[string]any{"kid": "ec' or '1'='1"}),
		"key id in capitals":      signedBy(key, map[string]any{"kid": "EC"}),
		"another's signature":     parts[0] + "." + authtest.Base64URL([]byte(strings.Replace(text, authtest.User1, "00000000-0000-4000-8000-000000000009", 1))) + "." + parts[2],
		"signature of zeros":      parts[0] + "." + parts[1] + "." + authtest.Base64URL(make([]byte, 64)),
		"signature twice":         good + parts[2],
		"padded":                  parts[0] + "=." + parts[1] + "." + parts[2],
		"blank inside":            parts[0] + " ." + parts[1] + "." + parts[2],
		"new line inside":         parts[0] + "\n." + parts[1] + "." + parts[2],
		"expired":                 with("exp", time.Now().Add(-time.Second).Unix()),
		"not yet":                 with("nbf", time.Now().Add(time.Minute).Unix()),
		"several other audiences": with("aud", []string{"else", "anon"}),
		"audience with a blank":   with("aud", "authenticated else"),
		"no audience in the list": with("aud", []string{}),
		"issuer of the same keys": with("iss", "https://other.example.com/auth/v1"),
		"issuer that goes on":     with("iss", project.Url+"/auth/v1.evil.com"),
		"issuer is a list":        with("iss", []string{project.Url + "/auth/v1"}),
		"user is nil":             with("sub", "00000000-0000-0000-0000-000000000000"),
		"user in braces":          with("sub", "{"+authtest.User1+"}"),
		"claims are a list":       authtest.Base64URL([]byte(`{"alg":"ES256","kid":"ec"}`)) + "." + authtest.Base64URL([]byte(`[]`)) + "." + parts[2],
		"many dots":               strings.Repeat(".", 10_000),
		"deep claims":             hmacToken(`{"alg":"HS256"}`, strings.Repeat(`{"a":`, 20_000)+"1"+strings.Repeat("}", 20_000), ""),
		"encrypted (five parts)":  good + ".x.y",
	}
	for which, tokens := range map[string]*Verifier{
		"keys only": New(project.Url, "", time.Now), "keys and secret": New(project.Url, authtest.JWTSecret, time.Now),
	} {
		if _, err := tokens.Verify(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		for name, token := range attacks {
			if got, err := tokens.Verify(t.Context(), token); err == nil || got != (Caller{}) {
				t.Errorf("%s: %s: %+v", which, name, got)
			}
		}
		if _, err := tokens.Verify(t.Context(), with("aud", []string{"else", "authenticated"})); err != nil {
			t.Errorf("one of several audiences: %v", err)
		}
	}
}

// What a token names itself reaches no header or log unescaped, however it is refused.
func TestExamineShowsNothingThatIsNotPlain(t *testing.T) {
	t.Parallel()
	project := authtest.NewIssuer(t)
	key, public := authtest.NewECKey(t, "ec")
	project.Publish(public)
	tokens := New(project.Url, "", time.Now)
	claims := project.Claims(authtest.User1, "ada@example.com")
	claims["role"], claims["client_id"], claims["iss"] = "a\x1b[31m\n", strings.Repeat("y", 1000), "x\"\r\n"
	claims["app_metadata"] = map[string]any{"api_key": "AbCdEfGhIj-0123456789012345678901"}
	verdict := tokens.Examine(t.Context(), policy.Policy{}, authtest.Issue(t, jwt.SigningMethodES256, "ec", key, claims)+"\n")
	all := verdict.Claims + verdict.Bearer + verdict.Fault.Error() + Cure(verdict.Fault)
	if strings.ContainsAny(all, "\x1b\r\n\"") || len(all) > 2000 || strings.Contains(all, "0123456789012") || verdict.Bearer != "" {
		t.Errorf("%q", all)
	}
}
