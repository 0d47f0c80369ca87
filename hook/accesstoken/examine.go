package accesstoken

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/policy"

	"github.com/golang-jwt/jwt/v5"
)

// Keys reads the project's public keys, as verifying does. Without the project's URL there are none.
func (a *Verifier) Keys(ctx context.Context) (KeySet, error) {
	if a.address == "" {
		return KeySet{}, nil
	}
	return fetchKeySet(ctx, a.client, a.address+"/.well-known/jwks.json")
}

// maxDiscovery is how many bytes of a discovery document are read at most.
const maxDiscovery = 64 << 10

// Discover asks the auth server what it calls itself. Of the three places each is known to some version.
func (a *Verifier) Discover(ctx context.Context) (issuer, where string, err error) {
	root, _ := url.Parse(a.address)
	root.Path = "/.well-known/oauth-authorization-server"
	var faults []error
	for _, where := range []string{a.address + "/.well-known/openid-configuration", a.address + root.Path, root.String()} {
		raw, err := fetchJSON(ctx, a.client, where, maxDiscovery)
		var document struct {
			Issuer *string `json:"issuer"`
		}
		if err == nil && (json.Unmarshal(raw, &document) != nil || document.Issuer == nil) {
			err = fmt.Errorf("%s names no issuer", where)
		}
		if err == nil {
			return *document.Issuer, where, nil
		}
		faults = append(faults, err)
	}
	return "", "", errors.Join(faults...)
}

// Verdict says what the front end's routes would make of an access token.
type Verdict struct {
	Bearer string // who it is of, what key it carries; without a secret
	Claims string // what it says of itself, whether it is believed or not
	Fault  error  // why it would be refused
	Policy string // why its bearer would be, though the token is good
}

// Examine judges a token as the routes do.
func (a *Verifier) Examine(ctx context.Context, p policy.Policy, token string) Verdict {
	token = strings.TrimSpace(token)
	who, err := a.Verify(ctx, token)
	verdict := Verdict{Claims: unverified(token), Fault: err}
	if err != nil {
		return verdict
	}
	verdict.Policy = p.Skip(who.Claims)
	verdict.Bearer = "user " + who.User.String() + ", until " + who.Claims.ExpiresAt().UTC().Format(time.RFC3339)
	if id := coderclient.KeyID(who.Key); id != "" {
		verdict.Bearer += ", with the Coder key " + id
	}
	return verdict
}

// unverified is what a token says of itself. Nothing of it is known to be true.
func unverified(token string) string {
	var read accessClaims
	parsed, _, err := jwt.NewParser().ParseUnverified(token, &read)
	if err != nil {
		return ""
	}
	parts := []string{"algorithm " + parsed.Method.Alg()}
	if id, ok := parsed.Header["kid"].(string); ok {
		parts = append(parts, "key "+Shown(id))
	}
	parts = append(parts, "issuer "+ShownIssuer(read.Issuer), "audience "+Shown(strings.Join(read.Audience, " ")), "role "+Shown(read.Role))
	if read.ClientID != "" {
		parts = append(parts, "third-party client "+Shown(read.ClientID))
	}
	if read.ExpiresAt != nil {
		parts = append(parts, "until "+read.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return strings.Join(parts, ", ")
}

// Cure says what to do about a token that is refused.
func Cure(fault error) string {
	other, _ := errors.AsType[*otherIssuer](fault)
	switch {
	case other != nil && other.found == "":
		return "set SUPABASE_JWT_ISSUER=any, as the project's tokens name no issuer"
	case other != nil:
		return "set SUPABASE_JWT_ISSUER=" + Shown(other.found) + " if that is the project's name for itself"
	case errors.Is(fault, errExpired):
		return "take a newer one: refresh the session"
	case errors.Is(fault, ErrNoKeys):
		return "set SUPABASE_URL to the project's address, like https://PROJECT.supabase.co"
	case errors.Is(fault, errUnknownKey), errors.Is(fault, errSignature):
		return "see that the token is of the project at SUPABASE_URL (or SUPABASE_JWT_SECRET), and take a newer one"
	case errors.Is(fault, errAlgorithm):
		return "set SUPABASE_URL for tokens that are signed with a key, SUPABASE_JWT_SECRET for those that are signed with the secret (HS256)"
	case errors.As(fault, new(OutdatedError)):
		return "try again in a minute"
	}
	return "take the access_token of a user's session; the anon, service_role, publishable and secret keys are none"
}
