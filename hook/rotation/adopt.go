package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

// adopt learns about a key that the profile had before the ledger knew of it. It was handed
// out once, as nothing spoke against it; whether that goes on is decided here.
func (k *Rotator) adopt(ctx context.Context, r Subject) {
	id := coderclient.KeyID(r.Known.APIKey)
	log := k.Log.With().Stringer("user_id", r.UserID).Str("key_id", id).Logger()
	adoption, reason, err := k.inspect(ctx, r)
	switch {
	case err != nil:
	case reason != "":
		log.Warn().Str("reason", reason).Msg("the key in the profile is refused: the next mint makes another")
		err = k.Ledger.RefuseUnknownKey(ctx, r.UserID, id, k.Now(), reason)
	default:
		log.Info().Str("coder_user", adoption.Username).Time("key_expires_at", adoption.Key.ExpiresAt).Msg("the key in the profile is adopted")
		err = k.Ledger.Adopt(ctx, adoption)
	}
	if err != nil {
		log.Debug().Err(err).Msg("key in the profile not looked into")
	}
}

// inspect says what there is to adopt, or the reason why the key must not be handed out.
func (k *Rotator) inspect(ctx context.Context, r Subject) (_ store.Adoption, reason string, _ error) {
	none := store.Adoption{}
	user, err := k.Coder.Me(ctx, r.Known.APIKey)
	switch {
	case errors.Is(err, coderclient.ErrInactive):
		return none, "its user is suspended in Coder", nil
	case errors.Is(err, coderclient.ErrNotFound):
		return none, "it may not read its own user", nil
	case errors.Is(err, coderclient.ErrUnauthorized):
		return none, "Coder does not know it", k.confirmDead(ctx, r.Known.APIKey)
	case err != nil:
		return none, "", err
	}
	linked, reason, err := k.belongs(ctx, r, user)
	if err != nil || reason != "" {
		return none, reason, err
	}
	id := coderclient.KeyID(r.Known.APIKey)
	read, err := k.Coder.Key(ctx, user.ID, id)
	if err != nil {
		return none, "", err
	}
	key := store.Key{ID: id, ExpiresAt: read.ExpiresAt, Lifetime: read.Lifetime(), MadeAt: k.Now()}
	return store.Adoption{UserID: r.UserID, Key: key, CoderUser: user.ID, Username: user.Username, Linked: linked}, "", nil
}

// belongs gives the reason why a Coder user whose key stands in the profile is not this
// Supabase user's, or "". Linked: nothing but the e-mail speaks for it, so that we never
// suspend or delete it.
func (k *Rotator) belongs(ctx context.Context, r Subject, user coderclient.User) (linked bool, reason string, err error) {
	roles, err := k.Roles.OfKey(ctx, user, r.Known.APIKey)
	if err != nil || len(roles) > 0 {
		return false, fmt.Sprintf("it belongs to Coder user %s, who is %s", user.Username, strings.Join(roles, ", ")), err
	}
	if r.Known.CoderUserID != uuid.Nil {
		if r.Known.CoderUserID != user.ID {
			reason = "it belongs to Coder user " + user.Username
		}
		return r.Known.Linked, reason, nil
	}
	named := slices.Contains(k.Names.Ours(r.UserID), strings.ToLower(user.Username))
	if !named && !strings.EqualFold(user.Email, r.Email) {
		return false, "it belongs to Coder user " + user.Username, nil
	}
	switch owner, err := k.Lookups.OwnerOf(ctx, user.ID); {
	case errors.Is(err, store.ErrNotFound):
		return !named, "", nil
	case err != nil:
		return false, "", err
	default:
		return false, fmt.Sprintf("its Coder user %s is that of %s", user.Username, owner), nil
	}
}
