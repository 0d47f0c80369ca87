package hook

import (
	"time"

	"coderhook/coderclient"
	"coderhook/store"
)

// keyState is what the look-up says about a user's key, seen from the token that is being minted.
type keyState int

const (
	keyMissing keyState = iota // none, or already dead
	keyShort                   // alive now, but it would die before the token
	keyGood
)

// judge compares the key's expiry with the token's. A key that the ledger does not know
// was put there by an older deployment: it is taken as good.
func judge(a store.Account, tokenExpires, now time.Time) keyState {
	known := a.KeyID != "" && a.KeyID == coderclient.KeyID(a.APIKey) && !a.KeyExpiresAt.IsZero()
	switch {
	case a.APIKey == "":
		return keyMissing
	case !known || !a.KeyExpiresAt.Before(tokenExpires):
		return keyGood
	case a.KeyExpiresAt.After(now):
		return keyShort
	}
	return keyMissing
}
