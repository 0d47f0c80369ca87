package accesstoken

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/MicahParks/jwkset"
)

// The algorithms with which access tokens may be signed. Supabase Auth itself makes HS256, ES256 and RS256.
const (
	algHS256 = "HS256"
	algES256 = "ES256"
	algRS256 = "RS256"
	algEdDSA = "EdDSA"
)

var rsaAlgorithms = []string{algRS256, "RS384", "RS512", "PS256", "PS384", "PS512"}

// allAlgorithms are those that a token may name; its key has only one of them.
func allAlgorithms() []string {
	return append([]string{algHS256, algES256, "ES384", "ES512", algEdDSA}, rsaAlgorithms...)
}

// maxKeySet is how many bytes of a key set are read at most; one of Supabase's has some hundred.
const maxKeySet = 1 << 20

// How long an RSA key may be, in bits: a shorter one is weak, and a longer one slow.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// publicKey is a key and the only algorithm that it is for: a signature that names another
// one is not even looked at.
type publicKey struct {
	algorithm string
	key       any
}

// KeySet are the public keys of a project.
type KeySet struct {
	Usable int      // keys that can verify an access token
	Notes  []string // what is odd about the others, and why they are not used

	keys map[string][]publicKey // by their ids; of each algorithm one
}

// fetchKeySet reads a project's keys. It follows no redirect: who verifies tokens is to be asked under a name that
// an operator wrote.
func fetchKeySet(ctx context.Context, client *http.Client, address string) (KeySet, error) {
	raw, err := fetchJSON(ctx, client, address, maxKeySet)
	if err != nil {
		return KeySet{}, fmt.Errorf("read key set: %w", err)
	}
	return parseKeySet(raw)
}

// fetchJSON gives the body of an answer with status 200.
func fetchJSON(ctx context.Context, client *http.Client, address string, limit int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if to, err := response.Location(); err == nil {
		return nil, fmt.Errorf("%s answers %s and leads to %s://%s; redirects are not followed", address, response.Status, to.Scheme, to.Host)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", address, response.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if int64(len(raw)) > limit {
		err = fmt.Errorf("%s answers with more than %d bytes", address, limit)
	}
	return raw, err
}

// parseKeySet takes what can verify an access token, and leaves out all else: each key is read by
// itself, so that one of some other kind does not stop those that are known.
func parseKeySet(raw []byte) (KeySet, error) {
	var set map[string]json.RawMessage
	err := json.Unmarshal(raw, &set)
	listed, ok := set["keys"]
	if err != nil || !ok {
		return KeySet{}, errors.New("read key set: not a JSON Web Key Set")
	}
	var entries []json.RawMessage
	if json.Unmarshal(listed, &entries) != nil {
		return KeySet{}, errors.New(`read key set: "keys" is not a list`)
	}
	keys := KeySet{keys: make(map[string][]publicKey, len(entries))}
	if entries == nil {
		keys.note(`"keys" is null: there are none`)
	}
	for n, entry := range entries {
		if err := keys.add(entry); err != nil {
			keys.note(fmt.Sprintf("key %d%s is not used: %v", n+1, nameOf(entry), err))
		}
	}
	return keys, nil
}

// maxNotes keeps a set of nonsense from filling the log.
const maxNotes = 10

func (s *KeySet) note(text string) {
	if len(s.Notes) < maxNotes {
		s.Notes = append(s.Notes, text)
	}
}

// nameOf is the id of a key, where it has one that can be shown.
func nameOf(entry json.RawMessage) string {
	var named struct {
		ID string `json:"kid"`
	}
	if json.Unmarshal(entry, &named) != nil || named.ID == "" {
		return ""
	}
	return fmt.Sprintf(" (%.60q)", named.ID)
}

// add takes a key, or says why not. It never takes a symmetric one: a secret that was published is none.
func (s *KeySet) add(raw json.RawMessage) error {
	var entry jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &entry); err != nil {
		return errors.New("not a JSON Web Key")
	}
	switch {
	case entry.KTY == jwkset.KtyOct:
		return errors.New("it is a secret, and everybody can read it here: change it")
	case entry.KID == "":
		return errors.New(`it has no "kid"`)
	case entry.USE != "" && entry.USE != jwkset.UseSig:
		return fmt.Errorf(`"use" is %.20q, not "sig"`, entry.USE)
	case len(entry.KEYOPS) > 0 && !slices.Contains(entry.KEYOPS, jwkset.KeyOpsVerify):
		return errors.New(`"key_ops" is without "verify"`)
	}
	jwk, err := jwkset.NewJWKFromMarshal(entry, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return fmt.Errorf("its kind is not supported, or it is broken (kty %.20q, crv %.20q, alg %.20q)", entry.KTY, entry.CRV, entry.ALG)
	}
	algorithm, err := algorithmOf(jwk.Key(), entry.ALG.String())
	if err != nil {
		return err
	}
	for _, known := range s.keys[entry.KID] {
		if known.algorithm == algorithm {
			return errors.New("its id is there twice, and the first one counts")
		}
	}
	s.keys[entry.KID] = append(s.keys[entry.KID], publicKey{algorithm, jwk.Key()})
	s.Usable++
	return nil
}

// algorithmOf is the one that a key is for: what it says itself if that fits its kind, else the usual one.
func algorithmOf(key any, named string) (string, error) {
	var fitting []string
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		fitting = []string{map[int]string{256: algES256, 384: "ES384", 521: "ES512"}[key.Curve.Params().BitSize]}
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits || key.E < 3 {
			return "", fmt.Errorf("RSA with %d bits and exponent %d; %d to %d bits are taken", bits, key.E, minRSABits, maxRSABits)
		}
		fitting = rsaAlgorithms
	case ed25519.PublicKey:
		fitting = []string{algEdDSA}
	default:
		return "", errors.New("its kind signs nothing")
	}
	if named == "" {
		return fitting[0], nil
	}
	if !slices.Contains(fitting, named) {
		return "", fmt.Errorf(`"alg" is %.20q, and keys of its kind are taken for %v`, named, fitting)
	}
	return named, nil
}

// find is the key with this id for the algorithm. Known tells that the id is there at all.
func (s KeySet) find(id, algorithm string) (key any, known bool) {
	keys := s.keys[id]
	for _, k := range keys {
		if k.algorithm == algorithm {
			return k.key, true
		}
	}
	return nil, len(keys) > 0
}
