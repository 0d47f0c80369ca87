package provision

import (
	"context"
	"errors"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/hook/apikey"
	"coderhook/store"

	"github.com/google/uuid"
)

// made is a key that is not stored yet.
type made struct {
	key  store.Key
	user account.User
	kept bool // it is the one that the profile has
}

// Why a token is made.
const (
	madeFirst       = "first"
	madeRenewal     = "renewal"     // of a key that is alive
	madeReplacement = "replacement" // of one that is dead, refused or lost
	madeWithdrawal  = "withdrawal"  // renewal of one that tokens have carried, for a user whose tokens no longer do
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
		return ReasonKept
	}
	return ReasonMade
}

// makeKey makes sure that the Coder user exists and mints a key for it.
func (p *Provisioner) makeKey(ctx context.Context, j *job) (made, error) {
	defer p.freeSlot()
	p.metrics.inFlight.Inc()
	defer p.metrics.inFlight.Dec()
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	if err := p.stillWanted(ctx, j.Request); err != nil {
		return made{}, err
	}
	before := j.Known.CoderUserID
	user, err := p.Accounts.User(ctx, j.accountRequest())
	if refused, ok := errors.AsType[*account.RolesError](err); ok {
		err = p.refuseRoles(ctx, j, refused)
	}
	if err != nil {
		return made{}, err
	}
	j.Known.CoderUserID, j.turn = user.ID, false
	if key, err := p.keep(ctx, j, user.User); err != nil || key.ID != "" {
		return made{key, user, true}, err
	}
	key, err := p.mint(ctx, j, user.User)
	if errors.Is(err, coderclient.ErrUserDeleted) || errors.Is(err, coderclient.ErrNotFound) {
		// By its id Coder shows a deleted user like a living one; only this tells.
		if user, err = p.Accounts.Replace(ctx, j.accountRequest()); err != nil {
			return made{}, err
		}
		j.Known.CoderUserID = user.ID
		key, err = p.mint(ctx, j, user.User)
	}
	if err == nil {
		known := j.Known
		known.CoderUserID = before
		key.Reason = madeFor(known, user.ID, p.Now())
		if key.Reason == madeRenewal && j.OutOfClaims && !known.KeyUnseen {
			key.Reason = madeWithdrawal
		}
		p.metrics.keysMade.WithLabelValues(key.Reason).Inc()
	}
	return made{key, user, false}, err
}

// keep returns the key that the profile has, if Coder says that it lives longer than the ledger
// knew. A user who was suspended gets theirs back.
func (p *Provisioner) keep(ctx context.Context, j *job, user coderclient.User) (store.Key, error) {
	if j.Known.KeyID != coderclient.KeyID(j.Known.APIKey) {
		return store.Key{}, nil
	}
	read, err := p.Keys.Reread(ctx, j.Known, user)
	if err != nil {
		return store.Key{}, err
	}
	j.Known.KeyRefused, j.Known.KeyExpiresAt = read.KeyRefused, read.KeyExpiresAt
	read.Status = store.Active
	if !p.suits(j, read) {
		return store.Key{}, nil
	}
	return store.Key{Secret: read.APIKey, ID: read.KeyID, ExpiresAt: read.KeyExpiresAt, Lifetime: read.KeyLifetime, Grant: read.KeyGrant, Set: j.Set}, nil
}

// mint makes a key, if that is still allowed.
func (p *Provisioner) mint(ctx context.Context, j *job, user coderclient.User) (store.Key, error) {
	if err := p.mayMakeNow(); err != nil { // since the job began
		return store.Key{}, err
	}
	key, err := p.Keys.Mint(ctx, j.wanted(), user)
	key.Set = j.Set
	j.Known.TokenLife = max(j.Known.TokenLife, apikey.TokenLife(j.Until, p.Now()))
	return key, err
}
