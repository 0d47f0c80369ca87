// Package webhook is the Custom Access Token hook on the wire: signature, event, answer.
package webhook

import (
	"errors"
	"fmt"

	"coderhook/hook/claims"

	"github.com/google/uuid"
)

// Event is what Supabase Auth posts on a token mint
// (supabase/auth, internal/hooks/v0hooks, CustomAccessTokenInput).
type Event struct {
	UserID string // as it came
	Claims []byte // likewise: a part of Body
	Method string
	CallID string // which all attempts of one call share; "" before Supabase Auth 2.187.0

	Body     []byte // as it came
	User     uuid.UUID
	Deciding claims.Claims // those of Claims that decide
	Asked    claims.Claims // those that came, where a chained hook has returned others
	Facts    []byte        // claims for rules: Claims, but what the session is stands there as it came
	slot     claims.Slot
}

// Parse decodes a verified body, which has to stay as it is. The error's text is for the sender.
func Parse(body []byte) (*Event, error) {
	ev := &Event{Body: body}
	parts, ok := ev.read()
	if !ok {
		return nil, errors.New("the body is not the JSON object of a custom access token hook")
	}
	if err := ev.take(parts); err != nil {
		return nil, err
	}
	var err error
	ev.User, err = parseUser(ev.UserID, ev.Deciding.Subject)
	ev.Asked, ev.Facts = ev.Deciding, ev.Claims
	return ev, err
}

// read goes through the body once. Of duplicate names the last one counts.
func (ev *Event) read() (parts claims.Parts, ok bool) {
	r := claims.NewReader(ev.Body)
	r.Enter()
	for r.Next() {
		switch string(r.Name) {
		case "user_id":
			ev.UserID = r.Text()
		case "authentication_method":
			ev.Method = r.Text()
		case "metadata":
			ev.CallID = callID(r)
		case "claims":
			if ev.Claims, parts = nil, (claims.Parts{}); r.Kind() == '{' {
				parts, ev.Claims = r.Parts()
			} else {
				r.Value()
			}
		default:
			r.Value()
		}
	}
	r.End()
	wrong := r.Wrong
	return parts, r.Close() == nil && !wrong
}

// maxCallID is in bytes. It is a UUID of 36.
const maxCallID = 64

// callID reads metadata (since 2.187.0), in which nothing has to be as we know it.
func callID(r *claims.Reader) (id string) {
	if r.Kind() != '{' {
		r.Value()
		return ""
	}
	r.Enter()
	for r.Next() {
		if string(r.Name) == "uuid" {
			id = string(r.Loose())
		} else {
			r.Value()
		}
	}
	if len(id) > maxCallID {
		return ""
	}
	return id
}

// ofSession are the claims that say whose the session is and how it began.
var ofSession = []string{"sub", "email", "phone", "aal", "amr", "session_id", "is_anonymous", "client_id"}

// Returned is the event with the claims that a chained hook made of them. The address stays the one that came: it is
// Supabase Auth's to vouch for, whatever the token shows.
func (ev *Event) Returned(text []byte) (*Event, error) {
	returned := *ev
	parts, err := claims.Read(text)
	if err != nil {
		return nil, errors.New("claims is not an object")
	}
	returned.Claims = text
	if err := returned.take(parts); err != nil {
		return nil, err
	}
	returned.Deciding.Email = ev.Asked.Email
	facts, err := claims.Overlay(text, ev.Claims, ofSession...)
	returned.Facts = facts
	return &returned, err
}

// take takes what was read of the claims, if it is what it should be.
func (ev *Event) take(parts claims.Parts) error {
	switch {
	case len(ev.Claims) == 0:
		return errors.New("claims is not an object")
	case parts.Wrong:
		return errors.New("claims: sub, email, exp, role, aal, client_id or is_anonymous has the wrong type")
	case parts.Deciding.Expires <= 0:
		return errors.New("claims.exp is missing")
	}
	ev.Deciding, ev.slot = parts.Deciding, parts.Slot
	return parts.NoSlot // known now, so that a bad app_metadata is refused before anything is made in Coder
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

// String keeps an event that is printed by mistake from showing its claims.
func (ev *Event) String() string { return fmt.Sprintf("event of user %s", ev.User) }
