package hook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/store"

	"github.com/google/uuid"
)

// adopt learns about a key that the profile had before the ledger knew of it. It was handed
// out once, as nothing spoke against it; whether that goes on is decided here.
func (p *Provisioner) adopt(ctx context.Context, r request) {
	id := coderclient.KeyID(r.known.APIKey)
	log := p.Log.With().Stringer("user_id", r.user).Str("key_id", id).Logger()
	adoption, reason, err := p.inspect(ctx, r)
	switch {
	case err != nil:
	case reason != "":
		log.Warn().Str("reason", reason).Msg("the key in the profile is refused: the next mint makes another")
		err = p.Ledger.RefuseUnknownKey(ctx, r.user, id, p.Now(), reason)
	default:
		log.Info().Str("coder_user", adoption.Username).Time("key_expires_at", adoption.Key.ExpiresAt).Msg("the key in the profile is adopted")
		err = p.Ledger.Adopt(ctx, adoption)
	}
	if err != nil {
		log.Debug().Err(err).Msg("key in the profile not looked into")
	}
}

// inspect says what there is to adopt, or the reason why the key must not be handed out.
func (p *Provisioner) inspect(ctx context.Context, r request) (_ store.Adoption, reason string, _ error) {
	none := store.Adoption{}
	user, err := p.Coder.Me(ctx, r.known.APIKey)
	switch {
	case errors.Is(err, coderclient.ErrInactive):
		return none, "its user is suspended in Coder", nil
	case errors.Is(err, coderclient.ErrNotFound):
		return none, "it may not read its own user", nil
	case errors.Is(err, coderclient.ErrUnauthorized):
		return none, "Coder does not know it", p.confirmDead(ctx, r.known.APIKey)
	case err != nil:
		return none, "", err
	}
	linked, reason, err := p.belongs(ctx, r, user)
	if err != nil || reason != "" {
		return none, reason, err
	}
	id := coderclient.KeyID(r.known.APIKey)
	read, err := p.Coder.Key(ctx, user.ID, id)
	if err != nil {
		return none, "", err
	}
	key := store.Key{ID: id, ExpiresAt: read.ExpiresAt, Lifetime: read.Lifetime(), MadeAt: p.Now()}
	return store.Adoption{UserID: r.user, Key: key, CoderUser: user.ID, Username: user.Username, Linked: linked}, "", nil
}

// belongs gives the reason why a Coder user whose key stands in the profile is not this
// Supabase user's, or "". Linked: nothing but the e-mail speaks for it, so that we never
// suspend or delete it.
func (p *Provisioner) belongs(ctx context.Context, r request, user coderclient.User) (linked bool, reason string, err error) {
	roles, err := p.Accounts.Roles.OfKey(ctx, user, r.known.APIKey)
	if err != nil || len(roles) > 0 {
		return false, fmt.Sprintf("it belongs to Coder user %s, who is %s", user.Username, strings.Join(roles, ", ")), err
	}
	if r.known.CoderUserID != uuid.Nil {
		if r.known.CoderUserID != user.ID {
			reason = "it belongs to Coder user " + user.Username
		}
		return r.known.Linked, reason, nil
	}
	named := slices.Contains(account.Usernames(r.user), strings.ToLower(user.Username))
	if !named && !strings.EqualFold(user.Email, r.email) {
		return false, "it belongs to Coder user " + user.Username, nil
	}
	switch owner, err := p.Ledger.OwnerOf(ctx, user.ID); {
	case errors.Is(err, store.ErrNotFound):
		return !named, "", nil
	case err != nil:
		return false, "", err
	default:
		return false, fmt.Sprintf("its Coder user %s is that of %s", user.Username, owner), nil
	}
}
