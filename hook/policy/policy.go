// Package policy decides, from claims alone, whether a token carries a key.
package policy

import (
	"slices"

	"coderhook/hook/claims"
)

// Policy says whose tokens carry a key. Its zero value is the strictest about clients
// and roles, and asks for no particular assurance level.
type Policy struct {
	RequireAAL     string   // "aal1", "aal2" or "aal3"
	AllowedClients []string // third-party OAuth clients whose tokens may carry the user's key
	AllowedRoles   []string // of users; none: only authenticated
}

// Why a token is left as it came.
const (
	SkipAnonymous   = "anonymous user"
	SkipNoEmail     = "no e-mail"
	SkipOAuthClient = "third-party OAuth client"
	SkipAAL         = "assurance level too low"
	SkipRole        = "other role"
	SkipSubject     = "other subject" // by a chained hook: it is not the user's token any more
)

// Skip gives the reason why these claims are passed through as they came, or "".
// It is pure: what it decides depends on the claims and the policy alone.
func (p Policy) Skip(c claims.Claims) string {
	switch {
	case !p.takesRole(c.Role):
		return SkipRole
	case c.Anonymous:
		return SkipAnonymous
	case c.ClientID != "" && !slices.Contains(p.AllowedClients, c.ClientID):
		return SkipOAuthClient
	case c.Email == "":
		return SkipNoEmail
	case c.AAL < p.RequireAAL: // "aal1" < "aal2" < "aal3"
		return SkipAAL
	}
	return ""
}

func (p Policy) takesRole(role string) bool {
	if len(p.AllowedRoles) == 0 {
		return role == claims.Authenticated
	}
	return slices.Contains(p.AllowedRoles, role)
}

// Tells reports whether a token says that its user is not eligible for a key. That of a third-party client is
// nobody's business but the client's, and an anonymous user has not signed in yet.
func Tells(skip string, c claims.Claims) bool {
	return (skip == SkipRole || skip == SkipNoEmail || skip == SkipAAL) && c.ClientID == "" && !c.Anonymous
}

// Cure says what lets the bearer of such a token in.
func Cure(skip string) string {
	switch skip {
	case SkipRole:
		return "name the user's role in ALLOWED_ROLES, or give the user the role authenticated"
	case SkipAnonymous:
		return "let the user sign in or sign up: an anonymous one has no Coder account"
	case SkipOAuthClient:
		return "name the client in ALLOWED_CLIENT_IDS, if it may act in Coder for its users"
	case SkipNoEmail:
		return "give the user an e-mail address: Coder wants one for each account"
	case SkipSubject:
		return "let the function of CHAIN_HOOK leave claims.sub as it is"
	case SkipAAL:
		return "sign in with a second factor, or lower REQUIRE_AAL"
	}
	return ""
}
