package hook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

// clockMargin is for clocks that differ and for answers that are on their way.
const clockMargin = 10 * time.Minute

// longestTokenLife is Supabase's own limit: where nothing is known of an access token, it may live so long.
const longestTokenLife = 7 * 24 * time.Hour

// carriedFor is how long from now on a token may carry a key that the user has been given.
func carriedFor(a store.Account) time.Duration {
	if a.TokenLife == 0 {
		return longestTokenLife + clockMargin
	}
	return a.TokenLife + clockMargin
}

// retire keeps a key alive that came too late to be the account's: the answer has carried it.
func (p *Provisioner) retire(j *job, m made) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.base), cleanupTimeout)
	defer cancel()
	err := p.Ledger.Retire(ctx, store.Retired{
		KeyID: m.key.ID, UserID: j.user, CoderUserID: m.user.ID, Until: p.Now().Add(carriedFor(j.known)),
	})
	if err != nil { // its name tells that it is ours: reconciling finds it
		p.Log.Warn().Err(err).Stringer("user_id", j.user).Str("key_id", m.key.ID).Msg("Coder token not retired")
	}
}

// deleteRetired deletes the user's replaced keys that no token can carry any more.
func (p *Provisioner) deleteRetired(ctx context.Context, user uuid.UUID) {
	retired, err := p.Ledger.Retired(ctx, user)
	for _, key := range retired {
		if err == nil && key.Until.Before(p.Now()) {
			err = p.deleteOld(ctx, key)
		}
	}
	if err != nil {
		p.Log.Warn().Err(err).Stringer("user_id", user).Msg("replaced keys not deleted")
	}
}

// deleteOld deletes a replaced key in Coder, and only then forgets it.
func (p *Provisioner) deleteOld(ctx context.Context, key store.Retired) error {
	err := p.Coder.DeleteKey(ctx, key.CoderUserID, key.KeyID)
	if err != nil && !gone(err) {
		return fmt.Errorf("delete Coder token %s: %w", key.KeyID, err)
	}
	p.Log.Info().Stringer("user_id", key.UserID).Str("key_id", key.KeyID).Msg("replaced key deleted")
	return p.Ledger.ForgetRetired(ctx, key.KeyID)
}

// gone: there is nothing in Coder that we could have made.
func gone(err error) bool { return errors.Is(err, coderclient.ErrNotFound) }
