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

	Body     []byte        `json:"-"` // as it came
	User     uuid.UUID     `json:"-"`
	Deciding claims.Claims `json:"-"` // those of Claims that decide
	Asked    claims.Claims `json:"-"` // those that came, where a chained hook has returned others
	Facts    []byte        `json:"-"` // claims for rules: Claims, but what the session is stands there as it came
	slot     claims.Slot
}

// Parse decodes a verified body. The error's text is for the sender.
func Parse(body []byte) (*Event, error) {
	ev := &Event{Body: body}
	if err := claims.Unmarshal(body, ev); err != nil {
		return nil, errors.New("the body is not the JSON object of a custom access token hook")
	}
	if err := ev.look(); err != nil {
		return nil, err
	}
	var err error
	ev.User, err = parseUser(ev.UserID, ev.Deciding.Subject)
	ev.Asked, ev.Facts = ev.Deciding, ev.Claims
	return ev, err
}

// ofSession are the claims that say whose the session is and how it began.
var ofSession = []string{"sub", "email", "phone", "aal", "amr", "session_id", "is_anonymous", "client_id"}

// Returned is the event with the claims that a chained hook made of them. The address stays the one that came: it is
// Supabase Auth's to vouch for, whatever the token shows.
func (ev *Event) Returned(text []byte) (*Event, error) {
	returned := *ev
	returned.Claims, returned.Deciding = text, claims.Claims{}
	if err := returned.look(); err != nil {
		return nil, err
	}
	returned.Deciding.Email = ev.Asked.Email
	facts, err := claims.Overlay(text, ev.Claims, ofSession...)
	returned.Facts = facts
	return &returned, err
}

// look reads the claims that decide, and finds the place of the key.
func (ev *Event) look() error {
	if ev.Claims.Kind() != '{' {
		return errors.New("claims is not an object")
	}
	if err := claims.Unmarshal(ev.Claims, &ev.Deciding); err != nil {
		return errors.New("claims: sub, email, exp, role, aal, client_id or is_anonymous has the wrong type")
	}
	if ev.Deciding.Expires <= 0 {
		return errors.New("claims.exp is missing")
	}
	// Found now, so that a bad app_metadata is refused before anything is made in Coder.
	var err error
	ev.slot, err = claims.FindSlot(ev.Claims)
	return err
}

// SameUser reports whether the token is the user's, also after a chained hook.
func (ev *Event) SameUser() bool {
	subject, err := uuid.Parse(ev.Deciding.Subject)
	return err == nil && subject == ev.User
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
