// Package claims reads the claims that decide, and sets one member without touching another byte.
package claims

import (
	"errors"
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

// Parts are what is read of claims.
type Parts struct {
	Deciding Claims
	Slot     Slot
	Wrong    bool  // one of those that decide is of another type
	NoSlot   error // why nothing can be set in them
}

// Read reads claims by themselves. The error is one of their JSON.
func Read(claims []byte) (Parts, error) {
	r := NewReader(claims)
	parts, _ := r.Parts()
	return parts, r.Close()
}

// Parts reads claims in one pass: those that decide, and the place of what is ours. The text is that of the claims.
func (r *Reader) Parts() (p Parts, text []byte) {
	outer, outerBase := r.Wrong, r.base
	r.Wrong = false
	if r.Enter(); r.err != nil {
		return p, nil
	}
	r.base += r.offset() - 1 // where claims begin, as the slot's offsets are theirs
	found, end := false, 0
	for r.Next() {
		if string(r.Name) == "app_metadata" {
			found = true
			p.Slot, p.NoSlot = r.slot()
		} else {
			r.decide(&p.Deciding)
		}
		end = r.offset()
	}
	switch {
	case end == 0:
		p.NoSlot = errors.New("claims is empty")
	case !found:
		p.Slot = Slot{cut: span{end, end}, before: `,"app_metadata":{`, after: `}`}
	}
	text = r.in(span{0, r.offset()})
	p.Wrong, r.Wrong, r.base = r.Wrong, outer, outerBase
	return p, text
}

// decide reads a claim, or passes it over.
func (r *Reader) decide(c *Claims) {
	switch string(r.Name) {
	case "sub":
		c.Subject = r.Text()
	case "email":
		c.Email = r.Text()
	case "exp":
		c.Expires = r.Int()
	case "role":
		c.Role = r.Text()
	case "aal":
		c.AAL = r.Text()
	case "client_id":
		c.ClientID = r.Text()
	case "is_anonymous":
		c.Anonymous = r.Bool()
	case "iss":
		c.Issuer = r.Loose()
	case "session_id":
		c.SessionID = r.Loose()
	default:
		r.Value()
	}
}
