// Package claims reads the claims that decide, and sets one member without touching another byte.
package claims

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Authenticated is the role, and the audience, of a signed-in user's access token.
const Authenticated = "authenticated"

// lenient accepts what Go's encoding/json in Supabase Auth accepts: of duplicate names the last
// counts, and a lone surrogate or a broken byte somewhere in the metadata fails no sign-in.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// Unmarshal decodes JSON as leniently as Supabase Auth does.
func Unmarshal(text []byte, into any) error { return json.Unmarshal(text, into, lenient) }

// Claims are the claims that decide; all others are passed through unread.
type Claims struct {
	Subject   string `json:"sub"`
	Email     string `json:"email"`
	Expires   int64  `json:"exp"` // Unix seconds
	Role      string `json:"role"`
	AAL       string `json:"aal"`
	ClientID  string `json:"client_id"`
	Anonymous bool   `json:"is_anonymous"`
	Issuer    Text   `json:"iss"`
	SessionID Text   `json:"session_id"`
}

// Text is a claim that is only looked at: a wrong type is no reason to refuse a sign-in.
type Text string

// UnmarshalJSON takes anything, and what is no text for "".
func (t *Text) UnmarshalJSON(raw []byte) error {
	var read string
	_ = Unmarshal(raw, &read)
	*t = Text(read)
	return nil
}

// ExpiresAt returns when the token ends.
func (c Claims) ExpiresAt() time.Time { return time.Unix(c.Expires, 0) }
