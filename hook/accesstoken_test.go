package hook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const jwtSecret = "a secret of the project that has at least 32 characters"

func TestAccessTokensOfEachAlgorithm(t *testing.T) {
	t.Parallel()
	project := newIssuer(t)
	ecKey, ecPublic := newECKey(t, "ec")
	rsaKey, rsaPublic := newRSAKey(t, "rsa")
	unknown := map[string]any{"kty": "AKP", "alg": "ML-DSA-44", "kid": "later", "pub": "AAAA"} // does not stop the others
	project.publish(unknown, ecPublic, rsaPublic)
	tokens := NewAccessTokens(project.url+"/", jwtSecret, time.Now)
	claims := project.claims(user1, "ada@example.com")
	claims["app_metadata"] = map[string]any{"api_key": "AbCdEfGhIj-0123456789012345678901"}
	for name, token := range map[string]string{
		"ES256": issue(t, jwt.SigningMethodES256, "ec", ecKey, claims),
		"RS256": issue(t, jwt.SigningMethodRS256, "rsa", rsaKey, claims),
		"HS256": issue(t, jwt.SigningMethodHS256, "", []byte(jwtSecret), claims),
	} {
		got, err := tokens.verify(t.Context(), token)
		if err != nil || got.user.String() != user1 || got.claims.Email != "ada@example.com" ||
			got.key != "AbCdEfGhIj-0123456789012345678901" || got.claims.Expires != claims["exp"] {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if n := project.fetches.Load(); n != 1 {
		t.Errorf("%d fetches of the keys, want one", n)
	}
}

func TestRefusedAccessTokens(t *testing.T) {
	t.Parallel()
	project := newIssuer(t)
	key, public := newECKey(t, "ec")
	other, _ := newECKey(t, "ec")
	rsaKey, rsaPublic := newRSAKey(t, "rsa")
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	published := map[string]any{"kty": "oct", "kid": "oct", "k": base64URL([]byte(jwtSecret))}
	encryption, _ := newECKey(t, "enc")
	_, encryptionPublic := newECKey(t, "enc")
	encryptionPublic["use"], encryptionPublic["key_ops"] = "enc", []string{"deriveKey"}
	project.publish(public, rsaPublic, published, encryptionPublic)

	both := NewAccessTokens(project.url, jwtSecret, time.Now)
	keysOnly := NewAccessTokens(project.url, "", time.Now)
	secretOnly := NewAccessTokens("", jwtSecret, time.Now)
	good, old := project.claims(user1, "ada@example.com"), project.claims(user1, "ada@example.com")
	old["iat"] = time.Now().Add(-time.Hour).Unix() // the project has had all the time to show its key
	with := func(name string, value any) string {
		claims := project.claims(user1, "ada@example.com")
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return issue(t, jwt.SigningMethodES256, "ec", key, claims)
	}
	es256 := issue(t, jwt.SigningMethodES256, "ec", key, good)
	hs256 := issue(t, jwt.SigningMethodHS256, "", []byte(jwtSecret), good)
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})

	for name, test := range map[string]struct {
		tokens *AccessTokens
		token  string
		want   error
	}{
		"none":                     {both, issue(t, jwt.SigningMethodNone, "", jwt.UnsafeAllowNoneSignatureType, good), errSignature},
		"none with a key id":       {both, issue(t, jwt.SigningMethodNone, "ec", jwt.UnsafeAllowNoneSignatureType, good), errSignature},
		"public key as secret":     {keysOnly, issue(t, jwt.SigningMethodHS256, "rsa", asPEM, good), errAlgorithm},
		"the same beside a secret": {both, issue(t, jwt.SigningMethodHS256, "rsa", asPEM, good), errSignature},
		"empty secret":             {keysOnly, issue(t, jwt.SigningMethodHS256, "", []byte{}, good), errAlgorithm},
		"published secret":         {keysOnly, issue(t, jwt.SigningMethodHS256, "oct", []byte(jwtSecret), good), errAlgorithm},
		"HS256 without a secret":   {keysOnly, hs256, errAlgorithm},
		"ES256 without keys":       {secretOnly, es256, errAlgorithm},
		"other secret":             {both, issue(t, jwt.SigningMethodHS256, "", []byte("another"), good), errSignature},
		"other key":                {both, issue(t, jwt.SigningMethodES256, "ec", other, good), errSignature},
		"other key of that kind":   {both, issue(t, jwt.SigningMethodRS256, "ec", rsaKey, good), errAlgorithm},
		"stronger hash":            {both, issue(t, jwt.SigningMethodHS512, "", []byte(jwtSecret), good), errSignature},
		"ES384":                    {both, issue(t, jwt.SigningMethodES384, "ec", p384, good), errAlgorithm},
		"PS256":                    {both, issue(t, jwt.SigningMethodPS256, "rsa", rsaKey, good), errAlgorithm},
		"no key id":                {both, issue(t, jwt.SigningMethodES256, "", key, good), errUnknownKey},
		"forged key id":            {both, issue(t, jwt.SigningMethodES256, "forged", other, old), errUnknownKey},
		"encryption key":           {both, issue(t, jwt.SigningMethodES256, "enc", encryption, old), errUnknownKey},
		"key id that is a path":    {both, issue(t, jwt.SigningMethodES256, "../../../dev/null", other, old), errUnknownKey},
		"expired":                  {both, with("exp", time.Now().Add(-time.Second).Unix()), errExpired},
		"no expiry":                {both, with("exp", nil), errIncomplete},
		"not yet valid":            {both, with("nbf", time.Now().Add(time.Hour).Unix()), errNotYetValid},
		"other audience":           {both, with("aud", "else"), errOtherAudience},
		"no audience":              {both, with("aud", nil), errIncomplete},
		"other issuer":             {both, with("iss", "https://other.supabase.co/auth/v1"), errOtherIssuer},
		"no issuer":                {both, with("iss", nil), errOtherIssuer},
		"no subject":               {both, with("sub", nil), errNoUser},
		"subject is no user":       {both, with("sub", "{"+user1+"}"), errNoUser},
		"wrong types":              {both, with("role", 1), errNotAToken},
		"not a JWT":                {both, "hello", errNotAToken},
		"changed claims":           {both, es256[:40] + "A" + es256[41:], nil},
		"cut off":                  {both, es256[:len(es256)-4], nil},
		"four parts":               {both, es256 + ".x", errNotAToken},
		"unknown algorithm":        {both, base64URL([]byte(`{"alg":"X"}`)) + ".e30.x", errAlgorithm},
	} {
		got, err := test.tokens.verify(t.Context(), test.token)
		if err == nil || test.want != nil && !errors.Is(err, test.want) || got != (caller{}) {
			t.Errorf("%s: got %+v, %v; want %v", name, got, err, test.want)
		}
	}
	claims := project.claims(user1, "ada@example.com")
	claims["iss"] = "whoever"
	if _, err := secretOnly.verify(t.Context(), issue(t, jwt.SigningMethodHS256, "", []byte(jwtSecret), claims)); err != nil {
		t.Errorf("without SUPABASE_URL the issuer is not known, but: %v", err)
	}
	claims["aud"] = []string{"else", "authenticated"}
	if _, err := secretOnly.verify(t.Context(), issue(t, jwt.SigningMethodHS256, "", []byte(jwtSecret), claims)); err != nil {
		t.Errorf("one of several audiences: %v", err)
	}
}

// rotating is a project with one key, and tokens of it that live for a day.
type rotating struct {
	*issuer
	*clock
	tokens *AccessTokens
}

func newRotating(t *testing.T) *rotating {
	r := &rotating{issuer: newIssuer(t), clock: newClock()}
	r.tokens = NewAccessTokens(r.url, "", r.now)
	return r
}

func (r *rotating) token(t *testing.T, id string, key *ecdsa.PrivateKey) string {
	claims := r.claims(user1, "ada@example.com")
	claims["iat"], claims["exp"] = r.now().Unix(), r.now().Add(24*time.Hour).Unix()
	return issue(t, jwt.SigningMethodES256, id, key, claims)
}

// However many key ids are made up, the keys are asked for once in 30 seconds, and a
// key that is really new is known after that time at the latest.
func TestForgedKeyIDsDoNotDelayARotation(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	oldKey, oldPublic := newECKey(t, "old")
	newKey, newPublic := newECKey(t, "new")
	r.publish(oldPublic)
	if _, err := r.tokens.verify(t.Context(), r.token(t, "old", oldKey)); err != nil {
		t.Fatal(err)
	}
	r.advance(cachePause)
	for range 100 { // one fetch for all of these
		if _, err := r.tokens.verify(t.Context(), r.token(t, "forged", newKey)); !errors.Is(err, errUnknownKey) {
			t.Fatal(err)
		}
	}
	if n := r.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	r.publish(oldPublic, newPublic)
	for i := range 29 { // who keeps forging does not prolong the pause
		r.advance(time.Second)
		_, err := r.tokens.verify(t.Context(), r.token(t, "forged", newKey))
		if outdated, ok := errors.AsType[keysOutdated](err); !ok || outdated.after != time.Duration(29-i)*time.Second {
			t.Fatalf("%v: %+v", err, outdated)
		}
	}
	if n := r.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	r.advance(time.Second)
	for id, key := range map[string]*ecdsa.PrivateKey{"new": newKey, "old": oldKey} {
		if _, err := r.tokens.verify(t.Context(), r.token(t, id, key)); err != nil {
			t.Errorf("%s key 30 s later: %v", id, err)
		}
	}
	if n := r.fetches.Load(); n != 3 {
		t.Errorf("%d fetches, want 3", n)
	}
}

// A new key is taken at once where nobody has forged anything, and a withdrawn one is
// refused when the keys are no longer fresh.
func TestRotation(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	oldKey, oldPublic := newECKey(t, "old")
	newKey, newPublic := newECKey(t, "new")
	r.publish(oldPublic)
	if _, err := r.tokens.verify(t.Context(), r.token(t, "old", oldKey)); err != nil {
		t.Fatal(err)
	}
	r.advance(cachePause)
	r.publish(newPublic)
	if _, err := r.tokens.verify(t.Context(), r.token(t, "new", newKey)); err != nil {
		t.Errorf("new key: %v", err)
	}
	r.publish()
	r.advance(cacheFresh)
	if _, err := r.tokens.verify(t.Context(), r.token(t, "new", newKey)); !errors.Is(err, errUnknownKey) {
		t.Errorf("withdrawn key: %v", err)
	}
}

// With the auth server down the known keys go on working, and nobody else's do.
func TestKnownKeysWorkWhileTheAuthServerIsDown(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	key, public := newECKey(t, "ec")
	forged, _ := newECKey(t, "ec2")
	r.publish(public)
	if _, err := r.tokens.verify(t.Context(), r.token(t, "ec", key)); err != nil {
		t.Fatal(err)
	}
	r.down.Store(true)
	for range 3 {
		r.advance(cacheFresh)
		if _, err := r.tokens.verify(t.Context(), r.token(t, "ec", key)); err != nil {
			t.Errorf("known key: %v", err)
		}
		if _, err := r.tokens.verify(t.Context(), r.token(t, "ec2", forged)); !errors.As(err, new(keysOutdated)) {
			t.Errorf("unknown key: %v", err)
		}
	}
	if n := r.fetches.Load(); n != 4 {
		t.Errorf("%d fetches, want 4", n)
	}
}

// Without any key it is not the token's fault, and it heals soon after the auth server is back.
func TestNoKeysYet(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	key, public := newECKey(t, "ec")
	r.publish(public)
	r.down.Store(true)
	token := r.token(t, "ec", key)
	for range 10 {
		if _, err := r.tokens.verify(t.Context(), token); !errors.Is(err, errNoKeys) {
			t.Fatal(err)
		}
	}
	if n := r.fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
	r.down.Store(false)
	r.advance(cacheFirstPause)
	if _, err := r.tokens.verify(t.Context(), token); err != nil {
		t.Error(err)
	}
}

// Callers at the same time share one fetch.
func TestKeysAreFetchedOnce(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	key, public := newECKey(t, "ec")
	r.publish(public)
	token := r.token(t, "ec", key)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := r.tokens.verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := r.fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// What is no key set is as good as an auth server that is down, and no redirect is followed.
func TestAnswersThatAreNoKeySet(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"HTML":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<!doctype html>") },
		"error":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"message":"no"}`) },
		"cut off":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[`) },
		"404":      http.NotFound,
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	} {
		server := httptest.NewServer(answer)
		key, _ := newECKey(t, "ec")
		_, err := NewAccessTokens(server.URL, "", time.Now).verify(t.Context(), issue(t, jwt.SigningMethodES256, "ec", key, nil))
		if !errors.Is(err, errNoKeys) {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}
