package hook

import (
	"context"
	"time"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

// keyState is what the look-up says about a user's key, seen from the token that is being minted.
type keyState int

const (
	keyPlanted keyState = iota // it is not the one that we stored: somebody else wrote it
	keyMissing                 // none, dead, or of a user who is suspended or off-boarded
	keyShort                   // alive now, but it would die before the token
	keyAging                   // outlives the token, but it is time for another
	keyUnknown                 // the ledger has not seen it: an older deployment wrote it
	keyGood
)

// usable: the token can carry the key. What else there is to do comes after the answer.
func (s keyState) usable() bool { return s >= keyAging }

// judge compares the key's expiry with the token's.
func (o *Options) judge(a store.Account, tokenExpires, now time.Time) keyState {
	id := coderclient.KeyID(a.APIKey)
	ledgers := a.KeyID == id
	switch {
	case id == "", a.Distrust() != nil, ledgers && a.KeyRefused, a.Status == store.Suspended:
		return keyMissing
	case !ledgers && hasOwnKey(a):
		return keyPlanted
	case a.Status == store.Offboarded:
		return keyMissing
	case !ledgers, a.KeyExpiresAt.IsZero():
		return keyUnknown
	case !a.KeyExpiresAt.After(now):
		return keyMissing
	case a.KeyExpiresAt.Before(tokenExpires):
		return keyShort
	case a.KeyExpiresAt.Sub(now) <= o.renewBefore(a.KeyLifetime):
		return keyAging
	}
	return keyGood
}

// hasOwnKey: the ledger knows a key of the user's own, be it dead by now. Ledger and profile are written in one
// transaction and read in one statement, so that another key in the profile is never ours, and not from before us
// either. A refused key of nobody we know is one that we found there.
func hasOwnKey(a store.Account) bool {
	return a.KeyID != "" && (!a.KeyRefused || a.CoderUserID != uuid.Nil)
}

// notePlanted tells of a key that was put into a profile past us. It is handed out to nobody, and the mint replaces it.
func (p *Provisioner) notePlanted(ctx context.Context, a store.Account) {
	p.Metrics.planted.Inc()
	p.Log.Error().Stringer("user_id", a.UserID).Str("key_id", coderclient.KeyID(a.APIKey)).Str("own_key_id", a.KeyID).
		Msg("the profile holds a key that is not the user's own: it is not handed out; see who can write the keys with coderhook doctor")
	p.note(ctx, a, store.KeyPlanted, "beside the user's own, "+a.KeyID)
}

// note leaves a row in the audit trail about something that was seen.
func (p *Provisioner) note(ctx context.Context, a store.Account, what store.Action, why string) {
	err := p.Ledger.Note(ctx, store.Event{Action: what, UserID: a.UserID, CoderUserID: a.CoderUserID, KeyID: coderclient.KeyID(a.APIKey), Detail: why})
	if err != nil {
		p.Log.Warn().Err(err).Stringer("user_id", a.UserID).Str("action", string(what)).Msg("no row in the audit trail")
	}
}

// renewBefore is the length of the renewal window. Half of the lifetime is the most: more would
// renew at every mint. A lifetime that is not known is asked for by way of a renewal.
func (o *Options) renewBefore(lifetime time.Duration) time.Duration {
	switch {
	case lifetime <= 0:
		return 1<<63 - 1
	case o.RenewBefore > 0:
		return min(o.RenewBefore, lifetime/2)
	}
	return lifetime / 3
}
