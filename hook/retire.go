package hook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/lease"
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
	ctx, cancel := lease.Detach(p.base)
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

// deleteOld deletes a replaced key in Coder, and only then forgets it. A row that names a key which is neither ours
// nor one that we adopted is somebody else's: it is forgotten, and the key stays.
func (p *Provisioner) deleteOld(ctx context.Context, key store.Retired) error {
	read, err := p.Coder.Key(ctx, key.CoderUserID, key.KeyID)
	switch {
	case errors.Is(err, coderclient.ErrNotFound):
		return p.Ledger.ForgetRetired(ctx, key.KeyID)
	case err != nil:
		return fmt.Errorf("read Coder token %s: %w", key.KeyID, err)
	}
	may, err := p.mayDelete(ctx, key, read)
	if err != nil {
		return fmt.Errorf("delete Coder token %s: %w", key.KeyID, err)
	}
	log := p.Log.With().Stringer("user_id", key.UserID).Str("key_id", key.KeyID).Logger()
	if !may {
		log.Error().Str("token_name", read.TokenName).Msg("a replaced key that is not ours is not deleted: somebody else wrote that row of coderhook.retired_keys")
		return p.Ledger.ForgetRetired(ctx, key.KeyID)
	}
	if err := p.Coder.DeleteKey(ctx, key.CoderUserID, key.KeyID); err != nil && !errors.Is(err, coderclient.ErrNotFound) {
		return fmt.Errorf("delete Coder token %s: %w", key.KeyID, err)
	}
	log.Info().Msg("replaced key deleted")
	return p.Ledger.ForgetRetired(ctx, key.KeyID)
}

// mayDelete: ours by its name, or adopted, which only keys of the user's own account can be, and of one without roles.
func (p *Provisioner) mayDelete(ctx context.Context, key store.Retired, read coderclient.Key) (bool, error) {
	if ourName.MatchString(read.TokenName) {
		return true, nil
	}
	account, err := p.Ledger.Lookup(ctx, key.UserID)
	if err != nil || account.Distrust() != nil || account.CoderUserID == uuid.Nil || account.CoderUserID != key.CoderUserID {
		return false, err
	}
	user, err := p.Coder.User(ctx, key.CoderUserID.String())
	if err != nil {
		return false, err
	}
	roles, err := p.rolesOf(ctx, user)
	return len(roles) == 0, err
}

// gone: there is nothing in Coder that we could have made.
