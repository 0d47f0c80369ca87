package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"coderhook/coderclient"
	"coderhook/hook/apikey"
	"coderhook/store"

	"github.com/google/uuid"
)

// end ends the keys: first for the mints, then in Coder. It names the key of the profile where that is not
// the ledger's, which is yet to be refused. Seen is the account as it was before the lease was had.
func (r *Revoker) end(ctx context.Context, lease store.Lease, seen store.Account, done *Revocation) (stray string, _ error) {
	account, err := r.Ledger.Lookup(ctx, lease.UserID)
	if err != nil {
		return "", err
	}
	if err := r.Book.Revoke(ctx, lease, r.Now(), r.Actor, r.Why); err != nil {
		return "", err
	}
	if stray = coderclient.KeyID(account.APIKey); stray == account.KeyID {
		stray = ""
	}
	for _, key := range slices.Compact([]string{seen.APIKey, account.APIKey}) {
		if id := coderclient.KeyID(key); id == "" || id == account.KeyID {
			continue
		}
		if err := r.endStray(ctx, key, done); err != nil {
			return "", err
		}
	}
	if account.CoderUserID == uuid.Nil {
		return stray, nil
	}
	return stray, r.endInCoder(ctx, lease, account, done)
}

// endInCoder ends the keys of the account's Coder user.
func (r *Revoker) endInCoder(ctx context.Context, lease store.Lease, account store.Account, done *Revocation) error {
	user, err := r.Coder.User(ctx, account.CoderUserID.String())
	if errors.Is(err, coderclient.ErrNotFound) {
		return nil // and its keys with it
	}
	if err != nil {
		return err
	}
	done.Account = user.Username
	if account.KeyRefused, err = r.deadOrForeign(ctx, account); err != nil {
		return err
	}
	if r.All {
		return r.endAll(ctx, lease, account, user, done)
	}
	return r.endOurs(ctx, account, done)
}

// deadOrForeign reports whether the ledger's key needs no deletion. One that the ledger calls refused may still live: a
// run that was broken off refuses it before it is deleted.
func (r *Revoker) deadOrForeign(ctx context.Context, account store.Account) (bool, error) {
	if !account.KeyRefused {
		return false, nil
	}
	key, err := r.Coder.Key(ctx, account.CoderUserID, account.KeyID)
	if errors.Is(err, coderclient.ErrNotFound) {
		return true, nil
	}
	return key.UserID != account.CoderUserID, err
}

// endAll ends everything with which one can act as this user. Sessions that a stolen key has opened are in no list of
// Coder's; a new password ends them, which only accounts get that we made.
func (r *Revoker) endAll(ctx context.Context, lease store.Lease, account store.Account, user coderclient.User, done *Revocation) error {
	tokens, err := r.tokens(ctx, account)
	if err != nil {
		return err
	}
	done.count(account, tokens)
	if user.HasPassword() && !account.Linked {
		err := r.Ender.EndAllKeys(ctx, user.ID)
		if done.Sessions = err == nil; err != nil && !errors.Is(err, coderclient.ErrRefused) {
			return err
		}
	}
	if none, err := r.deleteListed(ctx, account); err != nil || !none {
		if err == nil {
			err = r.whileSuspended(ctx, lease, account, user)
		}
		if err != nil {
			return err
		}
	}
	return (&walk{Reconciler: r.Reconciler}).deleteLedgers(ctx, account)
}

// deleteListed reports whether there were no more tokens when all were deleted: as long as a
// stolen key lives, it can make others.
func (r *Revoker) deleteListed(ctx context.Context, account store.Account) (none bool, _ error) {
	for range 2 {
		tokens, err := r.tokens(ctx, account)
		if err != nil || len(tokens) == 0 {
			return err == nil, err
		}
		for _, token := range tokens {
			if err := r.Coder.DeleteKey(ctx, account.CoderUserID, token.ID); err != nil && !errors.Is(err, coderclient.ErrNotFound) {
				return false, err
			}
		}
	}
	tokens, err := r.tokens(ctx, account)
	return len(tokens) == 0, err
}

// whileSuspended deletes the tokens of somebody who makes them as fast as we delete them: the keys
// of a suspended user make none. Killed in between, reconciling activates the user again.
func (r *Revoker) whileSuspended(ctx context.Context, lease store.Lease, account store.Account, user coderclient.User) error {
	if account.Linked || user.Suspended() {
		return fmt.Errorf("tokens of Coder user %s are made as fast as they are deleted: suspend it in Coder, and try again", user.Username)
	}
	if err := r.Register.IntendSuspension(ctx, lease); err != nil {
		return err
	}
	if _, err := r.Coder.Suspend(ctx, user.ID); err != nil {
		return err
	}
	none, err := r.deleteListed(ctx, account)
	if err == nil && !none {
		err = fmt.Errorf("Coder user %s is suspended and still has tokens", user.Username) //nolint:staticcheck // a name
	}
	if err != nil {
		return err
	}
	if _, err := r.Coder.Activate(ctx, user.ID); err != nil {
		return err
	}
	return r.Ledger.Reactivate(ctx, lease)
}

// tokens are those of the account; a Coder user that is gone has none.
func (r *Revoker) tokens(ctx context.Context, account store.Account) ([]coderclient.Key, error) {
	tokens, err := r.Coder.Tokens(ctx, account.CoderUserID)
	if errors.Is(err, coderclient.ErrNotFound) {
		err = nil
	}
	return tokens, err
}

// count says of each token whose it is.
func (done *Revocation) count(account store.Account, tokens []coderclient.Key) {
	for _, token := range tokens {
		if apikey.Ours(account, token) {
			done.Ours++
		} else {
			done.Others++
		}
	}
}

// endOurs ends what we made or adopted, and counts what is left.
func (r *Revoker) endOurs(ctx context.Context, account store.Account, done *Revocation) error {
	w := &walk{Reconciler: r.Reconciler}
	tokens, err := r.tokens(ctx, account)
	if err != nil {
		return err
	}
	done.count(account, tokens)
	done.Left, done.Others = done.Others, 0
	return w.endTokens(ctx, account)
}

// endStray ends a key of the profile that the ledger does not know.
func (r *Revoker) endStray(ctx context.Context, key string, done *Revocation) error {
	user, err := r.Coder.Me(ctx, key)
	switch {
	case errors.Is(err, coderclient.ErrUnauthorized), errors.Is(err, coderclient.ErrInactive), errors.Is(err, coderclient.ErrNotFound):
		return nil // it opens nothing, or Coder does not say whose it is
	case err != nil:
		return err
	case len(user.Roles) > 0:
		done.Foreign = user.Username
		return nil
	}
	if err := r.Coder.DeleteKey(ctx, user.ID, coderclient.KeyID(key)); err != nil && !errors.Is(err, coderclient.ErrNotFound) {
		return err
	}
	done.Ours++
	return nil
}
