package accesstoken

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"coderhook/hook/authtest"
	"coderhook/hook/claims"

	"github.com/google/uuid"
)

const (
	fuzzProject = "https://project.example"
	hs256Header = `{"alg":"HS256","typ":"JWT"}`
)

// A token of this project passes if and only if a slow reference takes its claims, and says of its
// bearer what the claims say; the same token with a byte changed, added or lost never passes.
func FuzzAccessToken(f *testing.F) {
	now := time.Unix(1_795_417_649, 0)
	for _, r := range authtest.Recordings(f) {
		var body struct{ Claims json.RawMessage }
		if err := json.Unmarshal([]byte(r.Request.Body), &body); err != nil {
			f.Fatal(err)
		}
		claims := strings.Replace(string(body.Claims), "http://127.0.0.1:54321", fuzzProject, 1)
		f.Add(hs256Header, []byte(claims), uint16(3), byte('A'))
	}
	const good = `"iss":"https://project.example/auth/v1","sub":"dbf34ff0-2771-4ee8-a193-a4d4dbe31359"`
	for _, claims := range []string{
		`{"exp":1795417650,"aud":"authenticated",` + good + `}`, `{"exp":1795417649,"aud":"authenticated",` + good + `}`,
		`{"EXP":1795417650,"AUD":"authenticated",` + good + `}`, `{"exp":9e99,"aud":["x","authenticated"],` + good + `}`,
		`{"exp":"1795417650","aud":{},` + good + `}`, `{"exp":1795417650,"nbf":1795417650,"aud":"authenticated",` + good + `}`,
		`{"exp":1795417650,"aud":"authenticated","is_anonymous":true,"aal":"aal2","client_id":"c","app_metadata":{"api_key":{}},` + good + `}`,
		`{"exp":1795417650,"aud":"authenticated","n":1795423e11269,` + good + `}`, `{"exp":1e400,"aud":"authenticated",` + good + `}`,
		`{"exp":1795417650,"aud":"authenticated","session_id":7,"app_metadata":null,"role":"a","role":"b","Role":"c","ROLE":"d",` + good + `}`,
	} {
		for _, header := range []string{hs256Header, `{"alg":"HS256","kid":"x"}`, `{"alg":"none"}`, `{"alg":"HS512"}`, `{"alg":"RS256"}`, `{"ALG":"HS256"}`} {
			f.Add(header, []byte(claims), uint16(50), byte('\n'))
			f.Add(header, []byte(claims), uint16(len(signHS256(header, []byte(claims)))-20), byte('\n')) // in the signature
		}
	}
	tokens := New("", authtest.JWTSecret, func() time.Time { return now })
	issued := New(fuzzProject, authtest.JWTSecret, func() time.Time { return now })
	issued.keys = nil // of these tokens none is signed by a public key
	f.Fuzz(func(t *testing.T, header string, claims []byte, at uint16, with byte) {
		token := signHS256(header, claims)
		for _, a := range []*Verifier{tokens, issued} {
			who, err := a.Verify(t.Context(), token)
			checkVerdict(t, header, claims, now, a == issued, who, err)
			if err != nil && who != (Caller{}) {
				t.Errorf("%+v is told of a token that is refused: %v", who, err)
			}
			for _, mutant := range mutants(token, int(at), with) {
				if who, err := a.Verify(t.Context(), mutant); err == nil {
					t.Errorf("%q passes as %+v, it was %q", mutant, who, token)
				}
			}
		}
	})
}

func signHS256(header string, claims []byte) string {
	text := authtest.Base64URL([]byte(header)) + "." + authtest.Base64URL(claims)
	mac := hmac.New(sha256.New, []byte(authtest.JWTSecret))
	mac.Write([]byte(text))
	return text + "." + authtest.Base64URL(mac.Sum(nil))
}

// mutants are the token with one byte changed, one more and one less.
func mutants(token string, at int, with byte) []string {
	at %= len(token)
	var all []string
	for _, tail := range []string{string(with) + token[at+1:], string(with) + token[at:], token[at+1:]} {
		if mutant := token[:at] + tail; mutant != token {
			all = append(all, mutant)
		}
	}
	return all
}

func checkVerdict(t *testing.T, header string, claims []byte, now time.Time, ofProject bool, who Caller, err error) {
	t.Helper()
	want, may, must := bearerOf(header, claims, now, ofProject)
	switch {
	case err == nil && !may:
		t.Errorf("%s %s passes as %+v", header, claims, who)
	case err == nil && who.Raw != string(bytes.TrimSpace(claims)):
		t.Errorf("%q are not the token's claims %q", who.Raw, claims)
	case err == nil && without(who) != want:
		t.Errorf("%s is %+v, want %+v", claims, who, want)
	case err != nil && must:
		t.Errorf("%s %s: %v", header, claims, err)
	}
}

// sessionIn is only looked at: one of another type is no reason to refuse the token.
func sessionIn(c map[string]any) claims.Text {
	session, _ := c["session_id"].(string)
	return claims.Text(session)
}

// bearerOf reads the claims by their exact names, of which the last counts. May: they are those of a
// user of this project whose token is alive. Must: and everything is of the type that Supabase Auth
// gives it, so that there is no reason to refuse it.
func bearerOf(header string, claims []byte, now time.Time, ofProject bool) (who Caller, may, must bool) {
	var head, c map[string]any
	if json.Unmarshal([]byte(header), &head) != nil || unmarshalNumbers(claims, &c) != nil || head["alg"] != "HS256" {
		return Caller{}, false, false
	}
	clean := true
	text := func(name string) string {
		value, ok := c[name].(string)
		clean = clean && (ok || c[name] == nil)
		return value
	}
	number := func(name string) float64 {
		written, ok := c[name].(json.Number)
		value, err := written.Float64()
		clean = clean && (ok && err == nil && math.Abs(value) < 1<<40 || c[name] == nil)
		return value
	}
	anonymous, isBool := c["is_anonymous"].(bool)
	metadata, isObject := c["app_metadata"].(map[string]any)
	clean = clean && (isBool || c["is_anonymous"] == nil) && (isObject || c["app_metadata"] == nil)
	who.Key, _ = metadata["api_key"].(string)
	who.Claims.Email, who.Claims.Role, who.Claims.AAL = text("email"), text("role"), text("aal")
	who.Claims.ClientID, who.Claims.Subject, who.Claims.Anonymous = text("client_id"), text("sub"), anonymous
	who.Claims.SessionID = sessionIn(c)
	expires, notBefore, issuer := number("exp"), number("nbf"), text("iss")
	_, _ = number("iat"), text("jti")
	who.Claims.Expires = int64(expires)
	user, err := uuid.Parse(who.Claims.Subject)
	who.User = user
	may = err == nil && user != uuid.Nil && len(who.Claims.Subject) == 36 && isFor(c["aud"], "authenticated") &&
		expires > float64(now.Unix()) && notBefore <= float64(now.Unix()) && (!ofProject || issuer == fuzzProject+"/auth/v1")
	return who, may, may && clean && bytes.Equal(claims, bytes.ToValidUTF8(claims, nil))
}

func isFor(audience any, want string) bool {
	list, isList := audience.([]any)
	if !isList {
		return audience == want
	}
	found := false
	for _, one := range list {
		if _, isText := one.(string); !isText {
			return false
		}
		found = found || one == want
	}
	return found
}

// unmarshalNumbers leaves numbers as they are written: one in a claim that nobody reads may be of any size.
func unmarshalNumbers(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("something follows")
	}
	return nil
}

// without leaves out the claims' own text.
func without(who Caller) Caller {
	who.Raw = ""
	return who
}
