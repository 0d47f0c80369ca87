// Package apikey judges, mints, retires and deletes Coder keys.
//
// A key is renewed after an answer has carried it, when a third of its life is left (Rule says otherwise), and within the
// request when it would die before the token. If Coder can't be reached then, the old key serves for as long as it lives.
// When a key ends, Coder says: its expiry is read again before it is renewed, as Coder up to 2.34 moves it with every use.
//
// A replaced key is kept until no access token can carry it: the user's longest that was seen, plus ten minutes. It is
// deleted after a later mint, or by reconciling, and only if it is ours by its name, or adopted.
//
// Where tokens do not carry the key, one that they have carried is renewed as if it aged. A key that none has carried is marked
// as that when it is stored, and the mark is taken away before one does: a crash loses no key that was given out.
//
// A lifetime of keys below twice that of the access tokens would renew at nearly every mint. Where it is configured, the
// server does not start; where it is Coder's own limit, it complains and starts, as sign-ins must go on.
//
// state.go judges, mint.go makes, retire.go deletes, lifetime.go compares lifetimes.
package apikey

import (
	"time"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

// State is what the look-up says about a user's key, seen from the token that is being minted.
type State int

const (
	Locked   State = iota // encrypted with a key that only other replicas have: it is theirs to hand out and to replace
	Planted               // it is not the one that we stored: somebody else wrote it
	Missing               // none, dead, or of a user who is suspended or off-boarded
	Other                 // made with another grant than the rules give now: it may open more than it should
	Short                 // alive now, but it would die before the token
	Aging                 // outlives the token, but it is time for another
	GivenOut              // tokens have carried it, and this one does not: it is time for another, too
	Unknown               // the ledger has not seen it: an older deployment wrote it
	Good                  // outlives the token by far
)

// Usable reports whether the token can carry the key. What else there is to do comes after the answer.
func (s State) Usable() bool { return s >= Aging }

// Rule says when a key is renewed.
type Rule struct {
	RenewBefore time.Duration // a key's end; 0: a third of its lifetime
	Grant       string        // what the key is to be made with, as grant.Grant writes it; "": as all are
	OutOfClaims bool          // the token at hand does not carry the key itself
}

// Judge compares the key's expiry with the token's.
func (r Rule) Judge(a store.Account, tokenExpires, now time.Time) State {
	id := coderclient.KeyID(a.APIKey)
	ledgers := a.KeyID == id
	switch {
	case a.Encryption == store.Locked:
		return Locked
	case a.Unreadable() != nil && a.Status != store.Suspended:
		return Planted
	case id == "", a.Distrust() != nil, ledgers && a.KeyRefused, a.Status == store.Suspended:
		return Missing
	case !ledgers && HasOwn(a):
		return Planted
	case a.Status == store.Offboarded:
		return Missing
	case a.KeyGrant != r.Grant:
		return Other
	case !ledgers, a.KeyExpiresAt.IsZero():
		return Unknown
	case !a.KeyExpiresAt.After(now):
		return Missing
	case a.KeyExpiresAt.Before(tokenExpires):
		return Short
	case a.KeyExpiresAt.Sub(now) <= r.window(a.KeyLifetime):
		return Aging
	case r.OutOfClaims && !a.KeyUnseen:
		return GivenOut
	}
	return Good
}

// HasOwn reports whether the ledger knows a key of the user's own, be it dead by now. Ledger and profile are written in one
// transaction and read in one statement, so that another key in the profile is never ours, and not from before us
// either. A refused key of nobody we know is one that we found there.
func HasOwn(a store.Account) bool {
	return a.KeyID != "" && (!a.KeyRefused || a.CoderUserID != uuid.Nil)
}

// window is the length of the renewal window. Half of the lifetime is the most: more would
// renew at every mint. A lifetime that is not known is asked for by way of a renewal.
func (r Rule) window(lifetime time.Duration) time.Duration {
	switch {
	case lifetime <= 0:
		return 1<<63 - 1
	case r.RenewBefore > 0:
		return min(r.RenewBefore, lifetime/2)
	}
	return lifetime / 3
}
