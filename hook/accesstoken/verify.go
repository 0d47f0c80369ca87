// Package accesstoken lets in who bears a Supabase access token.
package accesstoken

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"coderhook/hook/cached"
	"coderhook/hook/claims"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// Why an access token is not accepted. All of these are for its bearer to read,
// and stand in a quoted header.
var (
	errNotAToken     = errors.New("not a Supabase access token")
	errAlgorithm     = errors.New("signed with an algorithm that this server does not take")
	errSignature     = errors.New("the signature is not this project's")
	errUnknownKey    = errors.New("signed with a key that this project does not have")
	errExpired       = errors.New("expired: refresh the session")
	errNotYetValid   = errors.New("not valid yet")
	errIncomplete    = errors.New("without expiry or audience")
	errOtherAudience = errors.New("for another audience")
	errOtherIssuer   = errors.New("issued by another server")
	errNoUser        = errors.New("without a user")
	errCritical      = errors.New("it demands something that this server does not know (crit)")
)

// ErrNoKeys says that tokens can't be verified at the moment. It is not their bearer's fault.
var ErrNoKeys = errors.New("the project's keys can't be read")

// OutdatedError says that a token's key is not known, but may be newer than the keys that are: in a moment they
// are read again.
type OutdatedError struct{ After time.Duration }

func (OutdatedError) Error() string { return "signed with a key that is not known yet" }

// Verifier verifies the access tokens of one Supabase project.
type Verifier struct {
	Issuers Issuers // whose tokens are taken
	Log     zerolog.Logger

	address string                // of the auth server, "" if it is not known
	client  *http.Client          // that asks it
	secret  []byte                // of HS256; empty: not taken
	keys    *cached.Value[KeySet] // of all other algorithms; nil: not taken
	parser  *jwt.Parser
	noted   []string // of the keys, so that nothing is logged twice
}

// New takes tokens that the project at supabaseURL signed with its own keys, and
// tokens that were signed with the secret. Either may be empty: what it stands for is refused.
// Without a URL every issuer is taken.
func New(supabaseURL, secret string, now func() time.Time) *Verifier {
	a := &Verifier{secret: []byte(secret), client: &http.Client{
		Timeout:       cached.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	a.parser = jwt.NewParser(
		jwt.WithValidMethods(allAlgorithms()), jwt.WithExpirationRequired(),
		jwt.WithAudience(claims.Authenticated), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(),
	)
	if supabaseURL != "" {
		a.address = DefaultIssuer(supabaseURL)
		a.Issuers = Issuers{a.address}
		a.keys = &cached.Value[KeySet]{Now: now, Fetch: a.readKeys}
	}
	return a
}

// readKeys says in the log what is odd about them, once.
func (a *Verifier) readKeys(ctx context.Context) (KeySet, error) {
	keys, err := fetchKeySet(ctx, a.client, a.address+"/.well-known/jwks.json")
	if err == nil && !slices.Equal(keys.Notes, a.noted) {
		a.noted = keys.Notes
		for _, note := range keys.Notes {
			a.Log.Warn().Str("note", note).Msg("the project's public keys")
		}
	}
	return keys, err
}

// Caller is the user who sent an access token.
type Caller struct {
	User   uuid.UUID
	Claims claims.Claims
	Key    string // the Coder key that the token carries, or ""
	Raw    string // JSON: all claims
}

// accessClaims are the claims of an access token that count here.
type accessClaims struct {
	jwt.RegisteredClaims
	Email       string      `json:"email"`
	Role        string      `json:"role"`
	AAL         string      `json:"aal"`
	ClientID    string      `json:"client_id"`
	Anonymous   bool        `json:"is_anonymous"`
	SessionID   claims.Text `json:"session_id"`
	AppMetadata struct {
		APIKey any `json:"api_key"` // whatever an old deployment may have put there
	} `json:"app_metadata"`

	raw string
}

// UnmarshalJSON takes claims by their exact names, as all others do who read the token. Go's own
// package would also take "Sub" for "sub", which a project may well use for something else.
func (c *accessClaims) UnmarshalJSON(text []byte) error {
	type plain accessClaims
	c.raw = string(text)
	return claims.Unmarshal(text, (*plain)(c))
}

// Verify returns the token's bearer. What it returns is believed; nothing of a refused token is.
func (a *Verifier) Verify(ctx context.Context, token string) (Caller, error) {
	if strings.ContainsAny(token, "\r\n") { // base64 skips them, so that they would not matter in the signature
		return Caller{}, errNotAToken
	}
	var read accessClaims
	if _, err := a.parser.ParseWithClaims(token, &read, a.keyFor(ctx)); err != nil {
		return Caller{}, plain(err)
	}
	if !a.Issuers.Takes(read.Issuer) {
		return Caller{}, &otherIssuer{read.Issuer, a.Issuers.String()}
	}
	user, err := uuid.Parse(read.Subject)
	if err != nil || len(read.Subject) != 36 || user == uuid.Nil {
		return Caller{}, errNoUser
	}
	key, _ := read.AppMetadata.APIKey.(string)
	return Caller{User: user, Key: key, Raw: read.raw, Claims: claims.Claims{
		Subject: read.Subject, Email: read.Email, Expires: read.ExpiresAt.Unix(), Role: read.Role,
		AAL: read.AAL, ClientID: read.ClientID, Anonymous: read.Anonymous, SessionID: read.SessionID,
	}}, nil
}

// keyFor finds the key for a token. The algorithm is the key's own: a token that names another
// one, as if a public key were an HMAC secret, finds no key at all.
func (a *Verifier) keyFor(ctx context.Context) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		if _, demands := token.Header["crit"]; demands { // RFC 7515: who does not know what it names, refuses
			return nil, errCritical
		}
		algorithm := token.Method.Alg()
		if algorithm == algHS256 && len(a.secret) > 0 {
			return a.secret, nil
		}
		if algorithm == algHS256 || a.keys == nil {
			return nil, errAlgorithm
		}
		id, _ := token.Header["kid"].(string)
		if id == "" {
			return nil, errUnknownKey
		}
		return a.publicKey(ctx, id, algorithm, issuedAt(token))
	}
}

// issuedAt is what the token says, or now. It is not verified: it decides only how a refusal is called.
func issuedAt(token *jwt.Token) time.Time {
	if read, ok := token.Claims.(*accessClaims); ok && read.IssuedAt != nil {
		return read.IssuedAt.Time
	}
	return time.Now()
}

// publicKey asks the auth server again for a key that is not known: it may be a new one. Where that was done a
// moment ago, or failed, nobody can say yet that there is no such key, unless it would be an old one: Supabase's edge
// shows each key within cacheFresh.
func (a *Verifier) publicKey(ctx context.Context, id, algorithm string, issued time.Time) (any, error) {
	since := a.keys.Now()
	if shown := issued.Add(cached.Fresh); shown.Before(since) {
		since = shown
	}
	for _, read := range []func(context.Context) (KeySet, error){a.keys.Get, a.keys.Renew} {
		keys, err := read(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoKeys, err)
		}
		if key, known := keys.find(id, algorithm); key != nil {
			return key, nil
		} else if known {
			return nil, errAlgorithm
		}
	}
	if wait := a.keys.Outdated(since); wait > 0 {
		return nil, OutdatedError{wait}
	}
	return nil, errUnknownKey
}

// plain turns the library's errors into those of this package.
func plain(err error) error {
	if outdated, ok := errors.AsType[OutdatedError](err); ok {
		return outdated
	}
	for _, known := range []struct{ theirs, ours error }{
		{ErrNoKeys, err},
		{errUnknownKey, errUnknownKey},
		{errAlgorithm, errAlgorithm},
		{errCritical, errCritical},
		{jwt.ErrTokenMalformed, errNotAToken},
		{jwt.ErrTokenRequiredClaimMissing, errIncomplete},
		{jwt.ErrTokenExpired, errExpired},
		{jwt.ErrTokenNotValidYet, errNotYetValid},
		{jwt.ErrTokenInvalidAudience, errOtherAudience},
		{jwt.ErrTokenUnverifiable, errAlgorithm}, // that the library does not know either
		{jwt.ErrTokenSignatureInvalid, errSignature},
	} {
		if errors.Is(err, known.theirs) {
			return known.ours
		}
	}
	return errNotAToken
}
