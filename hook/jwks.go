package hook

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/MicahParks/jwkset"
)

// The algorithms with which Supabase Auth signs access tokens.
const (
	algHS256 = "HS256"
	algES256 = "ES256"
	algRS256 = "RS256"
)

// maxKeySet is how many bytes of a key set are read at most; one of Supabase's has some hundred.
const maxKeySet = 1 << 20

// publicKey is a key and the only algorithm that it is for: a signature that names another
// one is not even looked at.
type publicKey struct {
	algorithm string
	key       any
}

// keySet are the public keys of a project, by their ids.
type keySet map[string]publicKey

// fetchKeySet reads a project's keys.
func fetchKeySet(ctx context.Context, client *http.Client, address string) (keySet, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read key set: %s answers %s", address, response.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet))
	if err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	return parseKeySet(raw)
}

// parseKeySet takes what can verify an access token, and leaves out all else: a key of some
// other kind must not stop those that are known.
func parseKeySet(raw []byte) (keySet, error) {
	var set struct {
		Keys []jwkset.JWKMarshal `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil || set.Keys == nil {
		return nil, errors.New("read key set: not a JSON Web Key Set")
	}
	keys := make(keySet, len(set.Keys))
	for _, entry := range set.Keys {
		if key, ok := parseKey(entry); ok {
			keys[entry.KID] = key
		}
	}
	return keys, nil
}

// parseKey never takes a symmetric key: a secret that was published is none.
func parseKey(entry jwkset.JWKMarshal) (publicKey, bool) {
	jwk, err := jwkset.NewJWKFromMarshal(entry, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil || entry.KID == "" || entry.USE != "" && entry.USE != jwkset.UseSig {
		return publicKey{}, false
	}
	var algorithm string
	switch key := jwk.Key().(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			algorithm = algES256
		}
	case *rsa.PublicKey:
		algorithm = algRS256
	}
	named := entry.ALG.String()
	return publicKey{algorithm, jwk.Key()}, algorithm != "" && (named == "" || named == algorithm)
}
