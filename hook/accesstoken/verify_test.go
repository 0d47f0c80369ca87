package accesstoken

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

	"coderhook/hook/authtest"
	"coderhook/hook/cached"

	"github.com/golang-jwt/jwt/v5"
)

func TestAccessTokensOfEachAlgorithm(t *testing.T) {
	t.Parallel()
	project := authtest.NewIssuer(t)
	ecKey, ecPublic := authtest.NewECKey(t, "ec")
	rsaKey, rsaPublic := authtest.NewRSAKey(t, "rsa")
	unknown := map[string]any{"kty": "AKP", "alg": "ML-DSA-44", "kid": "later", "pub": "AAAA"} // does not stop the others
	project.Publish(unknown, ecPublic, rsaPublic)
	tokens := New(project.Url+"/", authtest.JWTSecret, time.Now)
	claims := project.Claims(authtest.User1, "ada@example.com")
	claims["app_metadata"] = map[string]any{"api_key": "AbCdEfGhIj-0123456789012345678901"}
	for name, token := range map[string]string{
		"ES256": authtest.Issue(t, jwt.SigningMethodES256, "ec", ecKey, claims),
		"RS256": authtest.Issue(t, jwt.SigningMethodRS256, "rsa", rsaKey, claims),
		"HS256": authtest.Issue(t, jwt.SigningMethodHS256, "", []byte(authtest.JWTSecret), claims),
	} {
		got, err := tokens.Verify(t.Context(), token)
		if err != nil || got.User.String() != authtest.User1 || got.Claims.Email != "ada@example.com" ||
			got.Key != "AbCdEfGhIj-0123456789012345678901" || got.Claims.Expires != claims["exp"] {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if n := project.Fetches.Load(); n != 1 {
		t.Errorf("%d fetches of the keys, want one", n)
	}
}

func TestRefusedAccessTokens(t *testing.T) {
	t.Parallel()
	project := authtest.NewIssuer(t)
	key, public := authtest.NewECKey(t, "ec")
	other, _ := authtest.NewECKey(t, "ec")
	rsaKey, rsaPublic := authtest.NewRSAKey(t, "rsa")
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	published := map[string]any{"kty": "oct", "kid": "oct", "k": authtest.Base64URL([]byte(authtest.JWTSecret))}
	encryption, _ := authtest.NewECKey(t, "enc")
	_, encryptionPublic := authtest.NewECKey(t, "enc")
	encryptionPublic["use"], encryptionPublic["key_ops"] = "enc", []string{"deriveKey"}
	project.Publish(public, rsaPublic, published, encryptionPublic)

	both := New(project.Url, authtest.JWTSecret, time.Now)
	keysOnly := New(project.Url, "", time.Now)
	secretOnly := New("", authtest.JWTSecret, time.Now)
	good, old := project.Claims(authtest.User1, "ada@example.com"), project.Claims(authtest.User1, "ada@example.com")
	old["iat"] = time.Now().Add(-time.Hour).Unix() // the project has had all the time to show its key
	with := func(name string, value any) string {
		claims := project.Claims(authtest.User1, "ada@example.com")
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return authtest.Issue(t, jwt.SigningMethodES256, "ec", key, claims)
	}
	es256 := authtest.Issue(t, jwt.SigningMethodES256, "ec", key, good)
	hs256 := authtest.Issue(t, jwt.SigningMethodHS256, "", []byte(authtest.JWTSecret), good)
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})

	for name, test := range map[string]struct {
		tokens *Verifier
		token  string
		want   error
	}{
		"none":                     {both, authtest.Issue(t, jwt.SigningMethodNone, "", jwt.UnsafeAllowNoneSignatureType, good), errSignature},
		"none with a key id":       {both, authtest.Issue(t, jwt.SigningMethodNone, "ec", jwt.UnsafeAllowNoneSignatureType, good), errSignature},
		"public key as secret":     {keysOnly, authtest.Issue(t, jwt.SigningMethodHS256, "rsa", asPEM, good), errAlgorithm},
		"the same beside a secret": {both, authtest.Issue(t, jwt.SigningMethodHS256, "rsa", asPEM, good), errSignature},
		"empty secret":             {keysOnly, authtest.Issue(t, jwt.SigningMethodHS256, "", []byte{}, good), errAlgorithm},
		"published secret":         {keysOnly, authtest.Issue(t, jwt.SigningMethodHS256, "oct", []byte(authtest.JWTSecret), good), errAlgorithm},
		"HS256 without a secret":   {keysOnly, hs256, errAlgorithm},
		"ES256 without keys":       {secretOnly, es256, errAlgorithm},
		"other secret":             {both, authtest.Issue(t, jwt.SigningMethodHS256, "", []byte("another"), good), errSignature},
		"other key":                {both, authtest.Issue(t, jwt.SigningMethodES256, "ec", other, good), errSignature},
		"other key of that kind":   {both, authtest.Issue(t, jwt.SigningMethodRS256, "ec", rsaKey, good), errAlgorithm},
		"stronger hash":            {both, authtest.Issue(t, jwt.SigningMethodHS512, "", []byte(authtest.JWTSecret), good), errSignature},
		"ES384":                    {both, authtest.Issue(t, jwt.SigningMethodES384, "ec", p384, good), errAlgorithm},
		"PS256":                    {both, authtest.Issue(t, jwt.SigningMethodPS256, "rsa", rsaKey, good), errAlgorithm},
		"no key id":                {both, authtest.Issue(t, jwt.SigningMethodES256, "", key, good), errUnknownKey},
		"forged key id":            {both, authtest.Issue(t, jwt.SigningMethodES256, "forged", other, old), errUnknownKey},
		"encryption key":           {both, authtest.Issue(t, jwt.SigningMethodES256, "enc", encryption, old), errUnknownKey},
		"key id that is a path":    {both, authtest.Issue(t, jwt.SigningMethodES256, "../../../dev/null", other, old), errUnknownKey},
		"expired":                  {both, with("exp", time.Now().Add(-time.Second).Unix()), errExpired},
		"no expiry":                {both, with("exp", nil), errIncomplete},
		"not yet valid":            {both, with("nbf", time.Now().Add(time.Hour).Unix()), errNotYetValid},
		"other audience":           {both, with("aud", "else"), errOtherAudience},
		"no audience":              {both, with("aud", nil), errIncomplete},
		"other issuer":             {both, with("iss", "https://other.supabase.co/auth/v1"), errOtherIssuer},
		"no issuer":                {both, with("iss", nil), errOtherIssuer},
		"no subject":               {both, with("sub", nil), errNoUser},
		"subject is no user":       {both, with("sub", "{"+authtest.User1+"}"), errNoUser},
		"wrong types":              {both, with("role", 1), errNotAToken},
		"not a JWT":                {both, "hello", errNotAToken},
		"changed claims":           {both, es256[:40] + "A" + es256[41:], nil},
		"cut off":                  {both, es256[:len(es256)-4], nil},
		"four parts":               {both, es256 + ".x", errNotAToken},
		"unknown algorithm":        {both, authtest.Base64URL([]byte(`{"alg":"X"}`)) + ".e30.x", errAlgorithm},
	} {
		got, err := test.tokens.Verify(t.Context(), test.token)
		if err == nil || test.want != nil && !errors.Is(err, test.want) || got != (Caller{}) {
			t.Errorf("%s: got %+v, %v; want %v", name, got, err, test.want)
		}
	}
	claims := project.Claims(authtest.User1, "ada@example.com")
	claims["iss"] = "whoever"
	if _, err := secretOnly.Verify(t.Context(), authtest.Issue(t, jwt.SigningMethodHS256, "", []byte(authtest.JWTSecret), claims)); err != nil {
		t.Errorf("without SUPABASE_URL the issuer is not known, but: %v", err)
	}
	claims["aud"] = []string{"else", "authenticated"}
	if _, err := secretOnly.Verify(t.Context(), authtest.Issue(t, jwt.SigningMethodHS256, "", []byte(authtest.JWTSecret), claims)); err != nil {
		t.Errorf("one of several audiences: %v", err)
	}
}

// rotating is a project with one key, and tokens of it that live for a day.
type rotating struct {
	*authtest.Issuer
	*authtest.Clock
	tokens *Verifier
}

func newRotating(t *testing.T) *rotating {
	r := &rotating{Issuer: authtest.NewIssuer(t), Clock: authtest.NewClock()}
	r.tokens = New(r.Url, "", r.Now)
	return r
}

func (r *rotating) token(t *testing.T, id string, key *ecdsa.PrivateKey) string {
	claims := r.Claims(authtest.User1, "ada@example.com")
	claims["iat"], claims["exp"] = r.Now().Unix(), r.Now().Add(24*time.Hour).Unix()
	return authtest.Issue(t, jwt.SigningMethodES256, id, key, claims)
}

// However many key ids are made up, the keys are asked for once in 30 seconds, and a
// key that is really new is known after that time at the latest.
func TestForgedKeyIDsDoNotDelayARotation(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	oldKey, oldPublic := authtest.NewECKey(t, "old")
	newKey, newPublic := authtest.NewECKey(t, "new")
	r.Publish(oldPublic)
	if _, err := r.tokens.Verify(t.Context(), r.token(t, "old", oldKey)); err != nil {
		t.Fatal(err)
	}
	r.Advance(cached.Pause)
	for range 100 { // one fetch for all of these
		if _, err := r.tokens.Verify(t.Context(), r.token(t, "forged", newKey)); !errors.Is(err, errUnknownKey) {
			t.Fatal(err)
		}
	}
	if n := r.Fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	r.Publish(oldPublic, newPublic)
	for i := range 29 { // who keeps forging does not prolong the pause
		r.Advance(time.Second)
		_, err := r.tokens.Verify(t.Context(), r.token(t, "forged", newKey))
		if outdated, ok := errors.AsType[OutdatedError](err); !ok || outdated.After != time.Duration(29-i)*time.Second {
			t.Fatalf("%v: %+v", err, outdated)
		}
	}
	if n := r.Fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	r.Advance(time.Second)
	for id, key := range map[string]*ecdsa.PrivateKey{"new": newKey, "old": oldKey} {
		if _, err := r.tokens.Verify(t.Context(), r.token(t, id, key)); err != nil {
			t.Errorf("%s key 30 s later: %v", id, err)
		}
	}
	if n := r.Fetches.Load(); n != 3 {
		t.Errorf("%d fetches, want 3", n)
	}
}

// A new key is taken at once where nobody has forged anything, and a withdrawn one is
// refused when the keys are no longer fresh.
func TestRotation(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	oldKey, oldPublic := authtest.NewECKey(t, "old")
	newKey, newPublic := authtest.NewECKey(t, "new")
	r.Publish(oldPublic)
	if _, err := r.tokens.Verify(t.Context(), r.token(t, "old", oldKey)); err != nil {
		t.Fatal(err)
	}
	r.Advance(cached.Pause)
	r.Publish(newPublic)
	if _, err := r.tokens.Verify(t.Context(), r.token(t, "new", newKey)); err != nil {
		t.Errorf("new key: %v", err)
	}
	r.Publish()
	r.Advance(cached.Fresh)
	if _, err := r.tokens.Verify(t.Context(), r.token(t, "new", newKey)); !errors.Is(err, errUnknownKey) {
		t.Errorf("withdrawn key: %v", err)
	}
}

// With the auth server down the known keys go on working, and nobody else's do.
func TestKnownKeysWorkWhileTheAuthServerIsDown(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	key, public := authtest.NewECKey(t, "ec")
	forged, _ := authtest.NewECKey(t, "ec2")
	r.Publish(public)
	if _, err := r.tokens.Verify(t.Context(), r.token(t, "ec", key)); err != nil {
		t.Fatal(err)
	}
	r.Down.Store(true)
	for range 3 {
		r.Advance(cached.Fresh)
		if _, err := r.tokens.Verify(t.Context(), r.token(t, "ec", key)); err != nil {
			t.Errorf("known key: %v", err)
		}
		if _, err := r.tokens.Verify(t.Context(), r.token(t, "ec2", forged)); !errors.As(err, new(OutdatedError)) {
			t.Errorf("unknown key: %v", err)
		}
	}
	if n := r.Fetches.Load(); n != 4 {
		t.Errorf("%d fetches, want 4", n)
	}
}

// Without any key it is not the token's fault, and it heals soon after the auth server is back.
func TestNoKeysYet(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	key, public := authtest.NewECKey(t, "ec")
	r.Publish(public)
	r.Down.Store(true)
	token := r.token(t, "ec", key)
	for range 10 {
		if _, err := r.tokens.Verify(t.Context(), token); !errors.Is(err, ErrNoKeys) {
			t.Fatal(err)
		}
	}
	if n := r.Fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
	r.Down.Store(false)
	r.Advance(cached.FirstPause)
	if _, err := r.tokens.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
}

// Callers at the same time share one fetch.
func TestKeysAreFetchedOnce(t *testing.T) {
	t.Parallel()
	r := newRotating(t)
	key, public := authtest.NewECKey(t, "ec")
	r.Publish(public)
	token := r.token(t, "ec", key)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := r.tokens.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := r.Fetches.Load(); n != 1 {
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
		key, _ := authtest.NewECKey(t, "ec")
		_, err := New(server.URL, "", time.Now).Verify(t.Context(), authtest.Issue(t, jwt.SigningMethodES256, "ec", key, nil))
		if !errors.Is(err, ErrNoKeys) {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}
