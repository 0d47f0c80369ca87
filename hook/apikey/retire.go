package apikey

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

// CarriedFor is how long from now on a token may carry a key that the user has been given.
func CarriedFor(a store.Account) time.Duration {
	if a.TokenLife == 0 {
		return longestTokenLife + clockMargin
	}
	return a.TokenLife + clockMargin
}

// Retire keeps a key alive for a time that came too late to be the account's: an answer has carried it.
func (m *Minter) Retire(ctx context.Context, user, coderUser uuid.UUID, keyID string, carried time.Duration) {
	ctx, cancel := lease.Detach(ctx)
	defer cancel()
	err := m.Ledger.Retire(ctx, store.Retired{KeyID: keyID, UserID: user, CoderUserID: coderUser, Until: m.Now().Add(carried)})
	if err != nil { // its name tells that it is ours: reconciling finds it
		m.Log.Warn().Err(err).Stringer("user_id", user).Str("key_id", keyID).Msg("Coder token not retired")
	}
}

// DeleteRetired deletes the user's replaced keys that no token can carry any more.
func (m *Minter) DeleteRetired(ctx context.Context, user uuid.UUID) {
	retired, err := m.Ledger.Retired(ctx, user)
	for _, key := range retired {
		if err == nil && key.Until.Before(m.Now()) {
			err = m.DeleteOld(ctx, key)
		}
	}
	if err != nil {
		m.Log.Warn().Err(err).Stringer("user_id", user).Msg("replaced keys not deleted")
	}
}

// DeleteOld deletes a replaced key in Coder, and only then forgets it. A row that names a key which is neither ours
// nor one that we adopted is somebody else's: it is forgotten, and the key stays.
func (m *Minter) DeleteOld(ctx context.Context, key store.Retired) error {
	read, err := m.Coder.Key(ctx, key.CoderUserID, key.KeyID)
	switch {
	case errors.Is(err, coderclient.ErrNotFound):
		return m.Ledger.ForgetRetired(ctx, key.KeyID)
	case err != nil:
		return fmt.Errorf("read Coder token %s: %w", key.KeyID, err)
	}
	may, err := m.mayDelete(ctx, key, read)
	if err != nil {
		return fmt.Errorf("delete Coder token %s: %w", key.KeyID, err)
	}
	log := m.Log.With().Stringer("user_id", key.UserID).Str("key_id", key.KeyID).Logger()
	if !may {
		log.Error().Str("token_name", read.TokenName).Msg("a replaced key that is not ours is not deleted: somebody else wrote that row of coderhook.retired_keys")
		return m.Ledger.ForgetRetired(ctx, key.KeyID)
	}
	if err := m.Coder.DeleteKey(ctx, key.CoderUserID, key.KeyID); err != nil && !errors.Is(err, coderclient.ErrNotFound) {
		return fmt.Errorf("delete Coder token %s: %w", key.KeyID, err)
	}
	log.Info().Msg("replaced key deleted")
	return m.Ledger.ForgetRetired(ctx, key.KeyID)
}

// mayDelete reports whether a key is ours by its name, or adopted, which only keys of the user's own account can be, and of one without roles.
func (m *Minter) mayDelete(ctx context.Context, key store.Retired, read coderclient.Key) (bool, error) {
	if ourName.MatchString(read.TokenName) {
		return true, nil
	}
	account, err := m.Ledger.Lookup(ctx, key.UserID)
	if err != nil || account.Distrust() != nil || account.CoderUserID == uuid.Nil || account.CoderUserID != key.CoderUserID {
		return false, err
	}
	user, err := m.Coder.User(ctx, key.CoderUserID.String())
	if err != nil {
		return false, err
	}
	roles, err := m.Roles.Of(ctx, user)
	return len(roles) == 0, err
}

// DeleteOurs deletes the tokens of an account that are ours by their name, and the one in the ledger.
func (m *Minter) DeleteOurs(ctx context.Context, a store.Account) error {
	if a.CoderUserID == uuid.Nil {
		return nil
	}
	if a.Set != "" { // seen with another key than the profile's, which ends as well
		var err error
		if a, err = m.Ledger.Lookup(ctx, a.UserID); err != nil {
			return err
		}
	}
	tokens, err := m.Coder.Tokens(ctx, a.CoderUserID)
	if err != nil && !errors.Is(err, coderclient.ErrNotFound) {
		return err
	}
	for _, token := range tokens {
		if token.UserID != a.CoderUserID || !Ours(a, token) {
			continue
		}
		if err := m.Coder.DeleteKey(ctx, a.CoderUserID, token.ID); err != nil {
			return err
		}
		if err := m.Ledger.ForgetRetired(ctx, token.ID); err != nil { // nor is it handed out any more, where it is one beside the profile's
			return err
		}
		m.Log.Warn().Stringer("user_id", a.UserID).Str("key_id", token.ID).Msg("key deleted: its user has roles in Coder")
	}
	return nil
}
