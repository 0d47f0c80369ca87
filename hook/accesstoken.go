package hook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// authenticated is both audience and role of a signed-in user's token.
const authenticated = "authenticated"

// Why an access token is not accepted. All of these are for its bearer to read,
// and stand in a quoted header.
var (
	errNotAToken     = errors.New("not a Supabase access token")
	errAlgorithm     = errors.New("signed with an algorithm that this server does not take")
	errSignature     = errors.New("the signature is not this project's")
	errUnknownKey    = errors.New("signed with a key that this project does not have")
	errExpired       = errors.New("expired: refresh the session")
	errNotYetValid   = errors.New("not valid yet")
	errIncomplete    = errors.New("without expiry, audience or issuer")
	errOtherAudience = errors.New("for another audience")
	errOtherIssuer   = errors.New("issued by another server")
	errNoUser        = errors.New("without a user")
)

// errNoKeys says that tokens can't be verified at the moment. It is not their bearer's fault.
var errNoKeys = errors.New("the project's keys can't be read")

// AccessTokens verifies the access tokens of one Supabase project.
type AccessTokens struct {
	secret []byte          // of HS256; empty: not taken
	keys   *cached[keySet] // of ES256 and RS256; nil: not taken
	parser *jwt.Parser
}

// NewAccessTokens takes tokens that the project at supabaseURL signed with its own keys, and
// tokens that were signed with the secret. Either may be empty: what it stands for is refused.
func NewAccessTokens(supabaseURL, secret string, now func() time.Time) *AccessTokens {
	a := &AccessTokens{secret: []byte(secret)}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{algHS256, algES256, algRS256}), jwt.WithExpirationRequired(),
		jwt.WithAudience(authenticated), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(),
	}
	if supabaseURL != "" {
		issuer := strings.TrimRight(supabaseURL, "/") + "/auth/v1"
		options = append(options, jwt.WithIssuer(issuer))
		client := &http.Client{Timeout: cacheTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		a.keys = &cached[keySet]{now: now, fetch: func(ctx context.Context) (keySet, error) {
			return fetchKeySet(ctx, client, issuer+"/.well-known/jwks.json")
		}}
	}
	a.parser = jwt.NewParser(options...)
	return a
}

// caller is who sent an access token.
type caller struct {
	user   uuid.UUID
	claims claims
	key    string // the Coder key that the token carries, or ""
}

// accessClaims are the claims of an access token that count here.
type accessClaims struct {
	jwt.RegisteredClaims
	Email       string `json:"email"`
	Role        string `json:"role"`
	AAL         string `json:"aal"`
	ClientID    string `json:"client_id"`
	Anonymous   bool   `json:"is_anonymous"`
	AppMetadata struct {
		APIKey any `json:"api_key"` // whatever an old deployment may have put there
	} `json:"app_metadata"`
}

// UnmarshalJSON takes claims by their exact names, as all others do who read the token. Go's own
// package would also take "Sub" for "sub", which a project may well use for something else.
func (c *accessClaims) UnmarshalJSON(text []byte) error {
	type plain accessClaims
	return unmarshal(text, (*plain)(c))
}

// verify returns the token's bearer. What it returns is believed; nothing of a refused token is.
func (a *AccessTokens) verify(ctx context.Context, token string) (caller, error) {
	if strings.ContainsAny(token, "\r\n") { // base64 skips them, so that they would not matter in the signature
		return caller{}, errNotAToken
	}
	var read accessClaims
	if _, err := a.parser.ParseWithClaims(token, &read, a.keyFor(ctx)); err != nil {
		return caller{}, plain(err)
	}
	user, err := uuid.Parse(read.Subject)
	if err != nil || len(read.Subject) != 36 || user == uuid.Nil {
		return caller{}, errNoUser
	}
	key, _ := read.AppMetadata.APIKey.(string)
	return caller{user: user, key: key, claims: claims{
		Subject: read.Subject, Email: read.Email, Expires: read.ExpiresAt.Unix(), Role: read.Role,
		AAL: read.AAL, ClientID: read.ClientID, Anonymous: read.Anonymous,
	}}, nil
}

// keyFor finds the key for a token. The algorithm is the key's own: a token that names another
// one, as if a public key were an HMAC secret, finds no key at all.
func (a *AccessTokens) keyFor(ctx context.Context) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		algorithm := token.Method.Alg()
		if algorithm == algHS256 && len(a.secret) > 0 {
			return a.secret, nil
		}
		if algorithm == algHS256 || a.keys == nil {
			return nil, errAlgorithm
		}
		id, _ := token.Header["kid"].(string)
		key, err := a.publicKey(ctx, id)
		if err != nil {
			return nil, err
		}
		if key.algorithm != algorithm {
			return nil, errAlgorithm
		}
		return key.key, nil
	}
}

// publicKey asks the auth server again for a key that is not known: it may be a new one.
func (a *AccessTokens) publicKey(ctx context.Context, id string) (publicKey, error) {
	for _, read := range []func(context.Context) (keySet, error){a.keys.get, a.keys.renew} {
		keys, err := read(ctx)
		if err != nil {
			return publicKey{}, fmt.Errorf("%w: %w", errNoKeys, err)
		}
		if key, ok := keys[id]; ok {
			return key, nil
		}
	}
	return publicKey{}, errUnknownKey
}

// plain turns the library's errors into those of this package.
func plain(err error) error {
	for _, known := range []struct{ theirs, ours error }{
		{errNoKeys, err},
		{errUnknownKey, errUnknownKey},
		{errAlgorithm, errAlgorithm},
		{jwt.ErrTokenMalformed, errNotAToken},
		{jwt.ErrTokenRequiredClaimMissing, errIncomplete},
		{jwt.ErrTokenExpired, errExpired},
		{jwt.ErrTokenNotValidYet, errNotYetValid},
		{jwt.ErrTokenInvalidAudience, errOtherAudience},
		{jwt.ErrTokenInvalidIssuer, errOtherIssuer},
		{jwt.ErrTokenUnverifiable, errAlgorithm}, // that the library does not know either
		{jwt.ErrTokenSignatureInvalid, errSignature},
	} {
		if errors.Is(err, known.theirs) {
			return known.ours
		}
	}
	return errNotAToken
}
