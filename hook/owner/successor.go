package owner

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/lease"
	"coderhook/store"

	"github.com/google/uuid"
)

// renew puts a successor in the token's place. One replica at a time does so; another one finds
// that it was done.
func (k *Keeper) renew(ctx context.Context, token string) error {
	if k.Token.Path == "" {
		k.fixed(errors.New("CODER_OWNER_TOKEN is given by value and not as a file"))
		return nil
	}
	if k.cannotRenew() { // it was found out: no token is minted again only to be thrown away
		return nil
	}
	turn, err := lease.Take(ctx, k.Ledger, store.Task{Name: taskName, Owner: k.Instance}, k.Log)
	if errors.Is(err, store.ErrLeased) {
		return nil
	}
	if err != nil {
		return err
	}
	defer turn.End(ctx)
	if k.Token.Current() != token {
		return nil
	}
	err = k.replace(ctx)
	if errors.Is(err, errReadOnly) {
		k.Log.Warn().Err(err).Str("key_id", k.key.ID).Msg("the owner's token is not renewed")
		k.fixed(err)
		return nil
	}
	k.fixed(nil)
	if err == nil {
		turn.Finished = k.Now()
	}
	return err
}

// fixed notes why the token can't be renewed, nil that it can.
func (k *Keeper) fixed(why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.readOnly = why
}

// replace mints and writes a successor. The old token lives on for a while, in the ledger's memory.
func (k *Keeper) replace(ctx context.Context) error {
	file, err := succeed(k.Token.Path)
	if err != nil {
		return err
	}
	defer file.giveUp()
	token, err := k.Coder.CreateToken(ctx, k.user, coderclient.NewToken{
		Name: tokenPrefix + strings.ToLower(rand.Text()[:12]), Lifetime: k.key.Lifetime(),
		Scope: cmp.Or(k.key.Scope, "all"), Scopes: k.key.Scopes, AllowList: k.key.AllowList,
	})
	if err != nil {
		return fmt.Errorf("renew owner's token: %w", err)
	}
	id := coderclient.KeyID(token)
	if err = k.resembles(ctx, token, id); err == nil {
		err = file.commit(token + "\n")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("renew owner's token: %w", err), k.discard(ctx, id))
	}
	old := k.key.ID
	if k.replaced == nil {
		k.replaced = make(map[string]bool)
	}
	k.replaced[old] = true
	k.Log.Info().Str("key_id", id).Str("old_key_id", old).Msg("owner's token renewed")
	err = k.Ledger.Retire(ctx, store.Retired{KeyID: old, UserID: uuid.Nil, CoderUserID: k.user, Until: k.Now().Add(grace)})
	return errors.Join(err, k.describe(ctx, k.Token.Current()))
}

// errOtherScope says that the token can't be renewed as it is: a narrow one must not become a full one.
var errOtherScope = errors.New("Coder gives the successor other rights than the token has (scope, scopes, allow_list): make another by hand")

// resembles refuses a successor that does not work, or that may do more or less than the token.
func (k *Keeper) resembles(ctx context.Context, token, id string) error {
	if _, err := k.Coder.Me(ctx, token); err != nil {
		return err
	}
	successor, err := k.Coder.Key(ctx, k.user, id)
	if err == nil && !successor.Allows(k.key) {
		err = fmt.Errorf("%w: %w", errReadOnly, errOtherScope)
	}
	return err
}

func (k *Keeper) discard(ctx context.Context, id string) error {
	ctx, cancel := lease.Detach(ctx)
	defer cancel()
	return k.Coder.DeleteKey(ctx, k.user, id)
}

// deleteOld deletes the tokens that were replaced a while ago. They are the ledger's keys of nobody.
func (k *Keeper) deleteOld(ctx context.Context) error {
	old, err := k.Ledger.Retired(ctx, uuid.Nil)
	for _, key := range old {
		if err == nil && key.Until.Before(k.Now()) && key.KeyID != k.key.ID {
			err = k.deleteReplaced(ctx, key)
		}
	}
	return err
}

// ourName is that of every token we make for ourselves.
var ourName = regexp.MustCompile("^" + tokenPrefix + "[a-z2-7]{12}$")

// forgetAfter is how long a token of another name is left to the replica that replaced it. It dies by itself.
const forgetAfter = 24 * time.Hour

// deleteReplaced deletes what we made, or replaced: an owner may have other tokens, which a row of the ledger that
// somebody else wrote must not end.
func (k *Keeper) deleteReplaced(ctx context.Context, key store.Retired) error {
	read, err := k.Coder.Key(ctx, key.CoderUserID, key.KeyID)
	switch {
	case errors.Is(err, coderclient.ErrNotFound):
		return k.Ledger.ForgetRetired(ctx, key.KeyID)
	case err != nil:
		return err
	case !ourName.MatchString(read.TokenName) && !k.replaced[key.KeyID]:
		if key.Until.Add(forgetAfter).After(k.Now()) {
			return nil
		}
		k.Log.Warn().Str("key_id", key.KeyID).Str("token_name", read.TokenName).Msg("an owner's token that this server did not make or replace is not deleted")
		return k.Ledger.ForgetRetired(ctx, key.KeyID)
	}
	if err := k.Coder.DeleteKey(ctx, key.CoderUserID, key.KeyID); err != nil && !errors.Is(err, coderclient.ErrNotFound) {
		return err
	}
	k.Log.Info().Str("key_id", key.KeyID).Msg("replaced owner's token deleted")
	return k.Ledger.ForgetRetired(ctx, key.KeyID)
}
