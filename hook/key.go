package hook

import (
	"time"

	"coderhook/coderclient"
	"coderhook/store"
)

// keyState is what the look-up says about a user's key, seen from the token that is being minted.
type keyState int

const (
	keyMissing keyState = iota // none, dead, or of a user who is suspended or off-boarded
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
	case id == "", ledgers && a.KeyRefused, a.Status == store.Suspended, a.Status == store.Offboarded:
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
