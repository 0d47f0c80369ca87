package hook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"coderhook/coderclient"
	"coderhook/store"
)

// tokenPrefix begins the names of the Coder tokens that are ours.
const tokenPrefix = "supabase-"

// made is a key that is not stored yet.
type made struct {
	key  store.Key
	user coderUser
}

// makeKey makes sure that the Coder user exists and mints a key for it.
func (p *Provisioner) makeKey(ctx context.Context, j *job) (made, error) {
	defer p.freeSlot()
	p.Metrics.inFlight.Inc()
	defer p.Metrics.inFlight.Dec()
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	user, err := p.coderUser(ctx, j)
	if err != nil {
		return made{}, err
	}
	key, err := p.mint(ctx, j, user.User)
	if errors.Is(err, coderclient.ErrUserDeleted) || errors.Is(err, coderclient.ErrNotFound) {
		// By its id Coder shows a deleted user like a living one; only this tells.
		if user, err = p.replaceCoderUser(ctx, j); err != nil {
			return made{}, err
		}
		key, err = p.mint(ctx, j, user.User)
	}
	return made{key, user}, err
}

// mint makes a token and reads back what Coder says of its life.
func (p *Provisioner) mint(ctx context.Context, j *job, user coderclient.User) (store.Key, error) {
	secret, err := p.Coder.CreateToken(ctx, user.ID, coderclient.NewToken{
		Name: tokenPrefix + strings.ToLower(rand.Text()[:12]), Lifetime: p.TokenLifetime,
	})
	if err != nil {
		return store.Key{}, fmt.Errorf("create Coder token: %w", err)
	}
	key := store.Key{Secret: secret, ID: coderclient.KeyID(secret)}
	read, err := p.Coder.Key(ctx, user.ID, key.ID)
	if err == nil && read.ExpiresAt.Before(j.until) {
		err = fmt.Errorf("%w: Coder's tokens live shorter than the access token: raise CODER_TOKEN_LIFETIME or Coder's maximum", errConflict)
	}
	if err != nil {
		p.discard(j, user, key.ID)
		return store.Key{}, fmt.Errorf("read Coder token: %w", err)
	}
	key.ExpiresAt = read.ExpiresAt
	return key, nil
}

// discard deletes a token that nobody will use. What can't be deleted now keeps its name,
// by which it is known as ours.
func (p *Provisioner) discard(j *job, user coderclient.User, keyID string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.base), cleanupTimeout)
	defer cancel()
	if err := p.Coder.DeleteKey(ctx, user.ID, keyID); err != nil {
		p.Log.Warn().Err(err).Stringer("user_id", j.user).Str("key_id", keyID).Msg("unused Coder token not deleted")
	}
}
