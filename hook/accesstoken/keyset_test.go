package accesstoken

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"coderhook/hook/authtest"

	"github.com/golang-jwt/jwt/v5"
)

// keySetOf writes a key set.
func keySetOf(t testing.TB, keys ...any) []byte {
	t.Helper()
	return authtest.JSON(t, map[string]any{"keys": keys})
}

// One key that is broken, or of some other kind, does not stop the others, and each is named.
func TestEachKeyIsReadByItself(t *testing.T) {
	t.Parallel()
	_, good := authtest.NewECKey(t, "good")
	with := func(name string, value any) map[string]any {
		_, key := authtest.NewECKey(t, "odd")
		if key[name] = value; value == nil {
			delete(key, name)
		}
		return key
	}
	_, doubled := authtest.NewECKey(t, "good")
	small := map[string]any{"kty": "RSA", "kid": "odd", "n": authtest.Base64URL(big.NewInt(1).Lsh(big.NewInt(1), 1023).Bytes()), "e": "AQAB"}
	huge := map[string]any{"kty": "RSA", "kid": "odd", "n": authtest.Base64URL([]byte(strings.Repeat("\xff", 100_000))), "e": "AQAB"}
	for name, test := range map[string]struct {
		odd  any
		want string
	}{
		"id is a number":     {with("kid", 7), "key 1 is not used: not a JSON Web Key"},
		"no id":              {with("kid", nil), `key 1 is not used: it has no "kid"`},
		"no object":          {"x", "not a JSON Web Key"},
		"null":               {nil, `it has no "kid"`},
		"to encrypt":         {with("use", "enc"), `key 1 ("odd") is not used: "use" is "enc", not "sig"`},
		"to derive":          {with("key_ops", []string{"deriveKey"}), `"key_ops" is without "verify"`},
		"secret":             {map[string]any{"kty": "oct", "kid": "odd", "k": "AAAA"}, "everybody can read it here"},
		"post-quantum":       {map[string]any{"kty": "AKP", "alg": "ML-DSA-44", "kid": "odd", "pub": "AAAA"}, "not supported, or it is broken"},
		"no point":           {with("x", authtest.Base64URL(make([]byte, 32))), "broken"},
		"other curve's hash": {with("alg", "ES384"), `"alg" is "ES384"`},
		"HMAC of a public":   {with("alg", "HS256"), `"alg" is "HS256"`},
		"none":               {with("alg", "none"), `"alg" is "none"`},
		"X25519":             {map[string]any{"kty": "OKP", "crv": "X25519", "kid": "odd", "x": authtest.Base64URL(make([]byte, 32))}, "not"},
		"short RSA":          {small, "RSA with 1024 bits"},
		"huge RSA":           {huge, "RSA with 800000 bits"},
		"id is there twice":  {doubled, "its id is there twice, and the first one counts"},
	} {
		odd := []any{test.odd, good}
		if name == "id is there twice" {
			odd = []any{good, test.odd}
		}
		got, err := parseKeySet(keySetOf(t, odd...))
		if err != nil || got.Usable != 1 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], test.want) {
			t.Errorf("%s: %d usable, %q, %v", name, got.Usable, got.Notes, err)
		}
		if key, _ := got.find("good", algES256); key == nil {
			t.Errorf("%s: the good key is lost", name)
		}
	}
	for text, want := range map[string]string{`{"keys":null}`: `"keys" is null: there are none`, `{"keys":[]}`: ""} {
		if got, err := parseKeySet([]byte(text)); err != nil || strings.Join(got.Notes, "") != want || got.Usable != 0 {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{`{}`, `[]`, `null`, `{"keys":{}}`, `{"keys":7}`, ``, `{"Keys":[]}`} {
		if got, err := parseKeySet([]byte(text)); err == nil {
			t.Errorf("%s is a key set: %+v", text, got)
		}
	}
}

// Keys without alg have the usual one, and others are taken for what they say.
func TestTokensOfEveryAlgorithmWithAKey(t *testing.T) {
	t.Parallel()
	project := authtest.NewIssuer(t)
	rsaKey, rsaPublic := authtest.NewRSAKey(t, "rsa")
	keys := []map[string]any{rsaPublic}
	tokens := map[string]string{}
	claims := project.Claims(authtest.User1, "ada@example.com")
	add := func(method jwt.SigningMethod, id string, key any) {
		tokens[method.Alg()] = authtest.Issue(t, method, id, key, claims)
	}
	add(jwt.SigningMethodRS256, "rsa", rsaKey)
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodRS384, jwt.SigningMethodRS512, jwt.SigningMethodPS256, jwt.SigningMethodPS512} {
		public := map[string]any{"kty": "RSA", "n": rsaPublic["n"], "e": rsaPublic["e"], "kid": method.Alg(), "alg": method.Alg()}
		keys = append(keys, public)
		add(method, method.Alg(), rsaKey)
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := len(raw) / 2
		name := curve.Params().Name
		keys = append(keys, map[string]any{"kty": "EC", "crv": name, "kid": name, "x": authtest.Base64URL(raw[1 : half+1]), "y": authtest.Base64URL(raw[half+1:])})
		add(map[string]jwt.SigningMethod{"P-256": jwt.SigningMethodES256, "P-384": jwt.SigningMethodES384, "P-521": jwt.SigningMethodES512}[name], name, key)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys = append(keys, map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": authtest.Base64URL(public)})
	add(jwt.SigningMethodEdDSA, "ed", private)
	project.Publish(keys...)
	verifier := New(project.Url, "", time.Now)
	for name, token := range tokens {
		if _, err := verifier.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The key decides on the algorithm, also among those that are taken.
	for name, token := range map[string]string{
		"RS512 with a key of RS256": authtest.Issue(t, jwt.SigningMethodRS512, "rsa", rsaKey, claims),
		"PS256 with a key of RS256": authtest.Issue(t, jwt.SigningMethodPS256, "rsa", rsaKey, claims),
		"HS256 with Ed25519 bytes":  authtest.Issue(t, jwt.SigningMethodHS256, "ed", []byte(public), claims),
	} {
		if _, err := verifier.Verify(t.Context(), token); err != errAlgorithm {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A set of very many keys, or of nonsense, is read in a moment and says little.
func TestHugeKeySets(t *testing.T) {
	t.Parallel()
	_, key := authtest.NewECKey(t, "same")
	entry := authtest.JSON(t, key)
	same := `{"keys":[` + strings.Repeat(string(entry)+",", maxKeySet/(len(entry)+1)-1) + string(entry) + `]}`
	got, err := parseKeySet([]byte(same))
	if err != nil || got.Usable != 1 || len(got.Notes) != maxNotes || len(got.keys["same"]) != 1 {
		t.Errorf("%d usable, %d notes, %v", got.Usable, len(got.Notes), err)
	}
	deep := `{"keys":` + strings.Repeat("[", 500_000) + strings.Repeat("]", 500_000) + `}`
	if _, err := parseKeySet([]byte(deep)); err == nil {
		t.Error("a deep nest is a key set")
	}
	project := authtest.NewIssuer(t)
	var many []map[string]any
	for i := range 10_000 {
		many = append(many, map[string]any{"kid": fmt.Sprint(i), "kty": "EC", "pad": strings.Repeat("x", 200)})
	}
	project.Publish(many...)
	if _, err := New(project.Url, "", time.Now).readKeys(t.Context()); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("a set of 2 MB: %v", err)
	}
}

func FuzzKeySet(f *testing.F) {
	_, key := authtest.NewECKey(f, "ec")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(keySetOf(f, key))
	f.Add(keySetOf(f, map[string]any{"kty": "RSA", "kid": "r", "n": authtest.Base64URL(rsaKey.N.Bytes()), "e": "AQAB"}))
	f.Add([]byte(`{"keys":null}`))
	f.Add([]byte(`{"keys":[{"kid":7},{"kty":"OKP","crv":"Ed25519","kid":"e","x":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := parseKeySet(raw)
		count := 0
		for id, keys := range set.keys {
			if id == "" {
				t.Error("a key without an id")
			}
			count += len(keys)
		}
		if count != set.Usable || err != nil && count > 0 {
			t.Errorf("%d keys, %d usable, %v", count, set.Usable, err)
		}
		if len(set.Notes) > maxNotes || err == nil && !json.Valid(raw) {
			t.Errorf("%d notes, %v", len(set.Notes), err)
		}
	})
}
