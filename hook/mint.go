package hook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/lease"
	"coderhook/store"

	"github.com/google/uuid"
)

// tokenPrefix begins the names of the Coder tokens that are ours.
const tokenPrefix = "supabase-"

// made is a key that is not stored yet.
type made struct {
	key  store.Key
	user coderUser
	kept bool // it is the one that the profile has
}

// Why a token is made.
const (
	madeFirst       = "first"
	madeRenewal     = "renewal"     // of a key that is alive
	madeReplacement = "replacement" // of one that is dead, refused or lost
)

// madeFor compares what was known with whom the token is for: a key dies with its Coder user.
func madeFor(known store.Account, user uuid.UUID, now time.Time) string {
	alive := known.KeyID == coderclient.KeyID(known.APIKey) && !known.KeyRefused && known.KeyExpiresAt.After(now)
	switch {
	case known.KeyID == "" && coderclient.KeyID(known.APIKey) == "":
		return madeFirst
	case alive && known.CoderUserID == user:
		return madeRenewal
	}
	return madeReplacement
}

func (m made) reason() string {
	if m.kept {
		return reasonKept
	}
	return reasonMade
}

// makeKey makes sure that the Coder user exists and mints a key for it.
func (p *Provisioner) makeKey(ctx context.Context, j *job) (made, error) {
	defer p.freeSlot()
	p.Metrics.inFlight.Inc()
	defer p.Metrics.inFlight.Dec()
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	if err := p.stillWanted(ctx, j.request); err != nil {
		return made{}, err
	}
	before := j.known.CoderUserID
	user, err := p.coderUser(ctx, j)
	if err != nil {
		return made{}, err
	}
	if key, err := p.keep(ctx, j, user.User); err != nil || key.ID != "" {
		return made{key, user, true}, err
	}
	key, err := p.mint(ctx, j, user.User)
	if errors.Is(err, coderclient.ErrUserDeleted) || errors.Is(err, coderclient.ErrNotFound) {
		// By its id Coder shows a deleted user like a living one; only this tells.
		if user, err = p.replaceCoderUser(ctx, j); err != nil {
			return made{}, err
		}
		key, err = p.mint(ctx, j, user.User)
	}
	if err == nil {
		known := j.known
		known.CoderUserID = before
		key.Reason = madeFor(known, user.ID, p.Now())
		p.Metrics.keysMade.WithLabelValues(key.Reason).Inc()
	}
	return made{key, user, false}, err
}

// keep returns the key that the profile has, if Coder says that it lives longer than the ledger
// knew: up to Coder 2.34 every use moves a key's end. A user who was suspended gets theirs back.
func (p *Provisioner) keep(ctx context.Context, j *job, user coderclient.User) (store.Key, error) {
	account := j.known
	if account.KeyID == "" || account.KeyID != coderclient.KeyID(account.APIKey) || account.KeyRefused {
		return store.Key{}, nil
	}
	read, err := p.Coder.Key(ctx, user.ID, account.KeyID)
	if errors.Is(err, coderclient.ErrNotFound) {
		j.known.KeyRefused = true
		return store.Key{}, nil
	}
	if err != nil {
		return store.Key{}, fmt.Errorf("read Coder token: %w", err)
	}
	j.known.KeyExpiresAt = read.ExpiresAt
	account.Status, account.KeyExpiresAt, account.KeyLifetime = store.Active, read.ExpiresAt, read.Lifetime()
	if !p.suits(j, account) {
		return store.Key{}, nil
	}
	return store.Key{Secret: account.APIKey, ID: account.KeyID, ExpiresAt: read.ExpiresAt, Lifetime: read.Lifetime()}, nil
}

// mint makes a token and reads back what Coder says of its life.
func (p *Provisioner) mint(ctx context.Context, j *job, user coderclient.User) (store.Key, error) {
	if err := p.mayMakeNow(); err != nil { // since the job began
		return store.Key{}, err
	}
	// Before there is a token: how long it must be kept is then known, whatever crashes.
	if err := p.noteTokenLife(ctx, j.request); err != nil {
		return store.Key{}, err
	}
	j.known.TokenLife = max(j.known.TokenLife, tokenLife(j.request, p.Now()))
	secret, err := p.Coder.CreateToken(ctx, user.ID, coderclient.NewToken{
		Name: tokenPrefix + strings.ToLower(rand.Text()[:12]), Lifetime: p.TokenLifetime,
	})
	if errors.Is(err, coderclient.ErrRefused) { // as a scope that it does not know
		return store.Key{}, fmt.Errorf("%w: create Coder token: %w", errConflict, err)
	}
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
	key.ExpiresAt, key.Lifetime, key.MadeAt = read.ExpiresAt, read.Lifetime(), p.Now()
	if key.Lifetime < 2*tokenLife(j.request, p.Now()) {
		p.Log.Warn().Stringer("user_id", j.user).Dur("key_lifetime_ms", key.Lifetime).Msg("Coder's tokens live less than twice as long as access tokens: keys are renewed at nearly every mint")
	}
	return key, nil
}

// discard deletes a token that nobody will use. What can't be deleted now keeps its name,
// by which it is known as ours.
func (p *Provisioner) discard(j *job, user coderclient.User, keyID string) {
	ctx, cancel := lease.Detach(p.base)
	defer cancel()
	if err := p.Coder.DeleteKey(ctx, user.ID, keyID); err != nil {
		p.Log.Warn().Err(err).Stringer("user_id", j.user).Str("key_id", keyID).Msg("unused Coder token not deleted")
	}
}
