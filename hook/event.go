package hook

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// lenient accepts what Go's encoding/json in Supabase Auth accepts: of duplicate names the last
// counts, and a lone surrogate or a broken byte somewhere in the metadata fails no sign-in.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

func unmarshal(text []byte, into any) error { return json.Unmarshal(text, into, lenient) }

// event is what Supabase Auth posts on a token mint
// (supabase/auth, internal/hooks/v0hooks, CustomAccessTokenInput).
type event struct {
	Metadata jsontext.Value `json:"metadata"` // since 2.187.0
	UserID   string         `json:"user_id"`
	Claims   jsontext.Value `json:"claims"`
	Method   string         `json:"authentication_method"`

	user   uuid.UUID
	claims claims
	slot   slot
}

// claims are the claims that decide; all others are passed through unread.
type claims struct {
	Subject   string `json:"sub"`
	Email     string `json:"email"`
	Expires   int64  `json:"exp"` // Unix seconds
	Role      string `json:"role"`
	AAL       string `json:"aal"`
	ClientID  string `json:"client_id"`
	Anonymous bool   `json:"is_anonymous"`
	Issuer    text   `json:"iss"`
}

// text is a claim that is only looked at: a wrong type is no reason to refuse a sign-in.
type text string

// UnmarshalJSON takes anything, and what is no text for "".
func (t *text) UnmarshalJSON(raw []byte) error {
	var read string
	_ = unmarshal(raw, &read)
	*t = text(read)
	return nil
}

func (c claims) expiresAt() time.Time { return time.Unix(c.Expires, 0) }

// parseEvent decodes a verified body. The error's text is for the sender.
func parseEvent(body []byte) (*event, error) {
	ev := new(event)
	if err := unmarshal(body, ev); err != nil {
		return nil, errors.New("the body is not the JSON object of a custom access token hook")
	}
	if ev.Claims.Kind() != '{' {
		return nil, errors.New("claims is not an object")
	}
	if err := unmarshal(ev.Claims, &ev.claims); err != nil {
		return nil, errors.New("claims: sub, email, exp, role, aal, client_id or is_anonymous has the wrong type")
	}
	var err error
	if ev.user, err = parseUser(ev.UserID, ev.claims.Subject); err != nil {
		return nil, err
	}
	if ev.claims.Expires <= 0 {
		return nil, errors.New("claims.exp is missing")
	}
	// Found now, so that a bad app_metadata is refused before anything is made in Coder.
	ev.slot, err = findSlot(ev.Claims)
	return ev, err
}

func parseUser(userID, subject string) (uuid.UUID, error) {
	id, err := uuid.Parse(userID)
	if err != nil || len(userID) != 36 || id == uuid.Nil {
		return uuid.Nil, errors.New("user_id is not a UUID")
	}
	if sub, err := uuid.Parse(subject); err != nil || sub != id {
		return uuid.Nil, errors.New("user_id and claims.sub are not the same user")
	}
	return id, nil
}

// callID is the id that all attempts of one call share; empty before Supabase Auth 2.187.0.
func (ev *event) callID() string {
	var metadata struct {
		UUID string `json:"uuid"`
	}
	if err := unmarshal(ev.Metadata, &metadata); err != nil || len(metadata.UUID) > 64 {
		return ""
	}
	return metadata.UUID
}

// String keeps an event that is printed by mistake from showing its claims.
func (ev *event) String() string { return fmt.Sprintf("event of user %s", ev.user) }
