package hook

import "slices"

// Policy says whose tokens carry a key. Its zero value is the strictest about clients
// and roles, and asks for no particular assurance level.
type Policy struct {
	RequireAAL     string   // "aal1", "aal2" or "aal3"
	AllowedClients []string // third-party OAuth clients whose tokens may carry the user's key
	AllowedRoles   []string // of users; none: only authenticated
}

// Why a token is left as it came.
const (
	skipAnonymous   = "anonymous user"
	skipNoEmail     = "no e-mail"
	skipOAuthClient = "third-party OAuth client"
	skipAAL         = "assurance level too low"
	skipRole        = "other role"
)

// skip gives the reason why these claims are passed through as they came, or "".
// It is pure: what it decides depends on the claims and the policy alone.
func (p Policy) skip(c claims) string {
	switch {
	case !p.takesRole(c.Role):
		return skipRole
	case c.Anonymous:
		return skipAnonymous
	case c.ClientID != "" && !slices.Contains(p.AllowedClients, c.ClientID):
		return skipOAuthClient
	case c.Email == "":
		return skipNoEmail
	case c.AAL < p.RequireAAL: // "aal1" < "aal2" < "aal3"
		return skipAAL
	}
	return ""
}

func (p Policy) takesRole(role string) bool {
	if len(p.AllowedRoles) == 0 {
		return role == authenticated
	}
	return slices.Contains(p.AllowedRoles, role)
}

// telling reports whether a token says that its user is not eligible for a key. That of a third-party client is
// nobody's business but the client's, and an anonymous user has not signed in yet.
func telling(skip string, c claims) bool {
	return (skip == skipRole || skip == skipNoEmail || skip == skipAAL) && c.ClientID == "" && !c.Anonymous
}

// CureOfPolicy says what lets the bearer of such a token in.
func CureOfPolicy(skip string) string {
	switch skip {
	case skipRole:
		return "name the user's role in ALLOWED_ROLES, or give the user the role authenticated"
	case skipAnonymous:
		return "let the user sign in or sign up: an anonymous one has no Coder account"
	case skipOAuthClient:
		return "name the client in ALLOWED_CLIENT_IDS, if it may act in Coder for its users"
	case skipNoEmail:
		return "give the user an e-mail address: Coder wants one for each account"
	case skipAAL:
		return "sign in with a second factor, or lower REQUIRE_AAL"
	}
	return ""
}
