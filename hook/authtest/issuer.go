package authtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Issuer is a Supabase project's auth server as far as its keys go.
type Issuer struct {
	Url     string // of the project
	Fetches atomic.Int32
	Down    atomic.Bool

	mu   sync.Mutex
	keys []map[string]any
}

// NewIssuer starts one without keys.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := new(Issuer)
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.Url = server.URL
	return i
}

func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.Fetches.Add(1)
	switch {
	case i.Down.Load():
		http.Error(w, "down", http.StatusBadGateway)
	case r.URL.Path != "/auth/v1/.well-known/jwks.json":
		http.NotFound(w, r)
	default:
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.keys == nil {
			i.keys = []map[string]any{}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": i.keys})
	}
}

// Publish replaces the key set.
func (i *Issuer) Publish(keys ...map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// Claims are those of a token that the project has just issued.
func (i *Issuer) Claims(user, email string) map[string]any {
	return map[string]any{
		"iss": i.Url + "/auth/v1", "sub": user, "aud": "authenticated", "role": "authenticated", "email": email,
		"aal": "aal1", "is_anonymous": false, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		"app_metadata": map[string]any{},
	}
}

// Base64URL encodes as tokens are.
func Base64URL(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// NewECKey returns an ES256 key, and how it is published.
func NewECKey(t testing.TB, id string) (*ecdsa.PrivateKey, map[string]any) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return key, map[string]any{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "key_ops": []string{"verify"}, "ext": true, "kid": id,
		"x": Base64URL(raw[1:33]), "y": Base64URL(raw[33:]),
	}
}

// NewRSAKey returns an RS256 key, and how it is published.
func NewRSAKey(t testing.TB, id string) (*rsa.PrivateKey, map[string]any) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key, map[string]any{
		"kty": "RSA", "kid": id, "n": Base64URL(key.N.Bytes()), "e": Base64URL(big.NewInt(int64(key.E)).Bytes()),
	}
}

// Issue signs a token. An empty id leaves the header without one.
func Issue(t testing.TB, method jwt.SigningMethod, id string, key any, claims map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	if id != "" {
		token.Header["kid"] = id
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}
