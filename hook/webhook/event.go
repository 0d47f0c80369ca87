// Package webhook is the Custom Access Token hook on the wire: signature, event, answer.
package webhook

import (
	"errors"
	"fmt"

	"coderhook/hook/claims"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// Event is what Supabase Auth posts on a token mint
// (supabase/auth, internal/hooks/v0hooks, CustomAccessTokenInput).
type Event struct {
	Metadata jsontext.Value `json:"metadata"` // since 2.187.0
	UserID   string         `json:"user_id"`
	Claims   jsontext.Value `json:"claims"`
	Method   string         `json:"authentication_method"`

	User     uuid.UUID     `json:"-"`
	Deciding claims.Claims `json:"-"` // those of Claims that decide
	slot     claims.Slot
}

// Parse decodes a verified body. The error's text is for the sender.
func Parse(body []byte) (*Event, error) {
	ev := new(Event)
	if err := claims.Unmarshal(body, ev); err != nil {
		return nil, errors.New("the body is not the JSON object of a custom access token hook")
	}
	if ev.Claims.Kind() != '{' {
		return nil, errors.New("claims is not an object")
	}
	if err := claims.Unmarshal(ev.Claims, &ev.Deciding); err != nil {
		return nil, errors.New("claims: sub, email, exp, role, aal, client_id or is_anonymous has the wrong type")
	}
	var err error
	if ev.User, err = parseUser(ev.UserID, ev.Deciding.Subject); err != nil {
		return nil, err
	}
	if ev.Deciding.Expires <= 0 {
		return nil, errors.New("claims.exp is missing")
	}
	// Found now, so that a bad app_metadata is refused before anything is made in Coder.
	ev.slot, err = claims.FindSlot(ev.Claims)
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

// CallID returns the id that all attempts of one call share; empty before Supabase Auth 2.187.0.
func (ev *Event) CallID() string {
	var metadata struct {
		UUID string `json:"uuid"`
	}
	if err := claims.Unmarshal(ev.Metadata, &metadata); err != nil || len(metadata.UUID) > 64 {
		return ""
	}
	return metadata.UUID
}

// String keeps an event that is printed by mistake from showing its claims.
func (ev *Event) String() string { return fmt.Sprintf("event of user %s", ev.User) }
