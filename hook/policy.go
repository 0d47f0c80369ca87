package hook

import "slices"

// Policy says whose tokens carry a key. Its zero value is the strictest about clients
// and asks for no particular assurance level.
type Policy struct {
	RequireAAL     string   // "aal1", "aal2" or "aal3"
	AllowedClients []string // third-party OAuth clients whose tokens may carry the user's key
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
	case c.Role != "authenticated":
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
