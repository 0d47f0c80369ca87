// Package owner keeps the token alive with which we act as Coder's owner.
package owner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

const (
	taskName     = "owner-token"
	tokenPrefix  = "coderhook-owner-" // begins the names of the tokens that we mint for ourselves
	turnInterval = time.Minute
	// rereadInterval is how often Coder is asked for the end of a token whose end is known.
	rereadInterval = 10 * time.Minute
	// grace is for replicas that have not read the file again, or that have one of their own.
	grace = 10 * time.Minute
	// warningTime is how long before its end a token that we can't renew is complained about.
	warningTime = 48 * time.Hour
)

// Coder is what looking after the owner's token needs of Coder.
type Coder interface {
	Me(ctx context.Context, key string) (coderclient.User, error)
	Key(ctx context.Context, user uuid.UUID, keyID string) (coderclient.Key, error)
	CreateToken(ctx context.Context, user uuid.UUID, token coderclient.NewToken) (string, error)
	DeleteKey(ctx context.Context, user uuid.UUID, keyID string) error
}

// Ledger is what it needs of the database: a turn for one replica, and a memory for the
// tokens that were replaced.
type Ledger interface {
	ClaimTask(ctx context.Context, task store.Task, ttl time.Duration) (finished time.Time, err error)
	ReleaseTask(ctx context.Context, task store.Task, finished time.Time) error
	Retire(ctx context.Context, key store.Retired) error
	Retired(ctx context.Context, user uuid.UUID) ([]store.Retired, error)
	ForgetRetired(ctx context.Context, keyID string) error
}

// Keeper keeps the owner's token from dying: half-way through its life it mints a successor
// and writes it into the file. Where it can't, it complains in time.
type Keeper struct {
	Token    *Token
	Coder    Coder
	Ledger   Ledger
	Instance string // unique among replicas
	Now      func() time.Time
	Log      zerolog.Logger

	mu       sync.Mutex
	user     uuid.UUID
	key      coderclient.Key // the current one, as Coder described it
	asked    time.Time
	warned   time.Time
	replaced map[string]bool // the ids of tokens that this process replaced
	readOnly error           // why the file can't be replaced
	dead     bool            // Coder does not take the token
}

// Run looks after the token until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	for {
		if err := k.Turn(ctx); err != nil && ctx.Err() == nil {
			k.Log.Warn().Err(err).Msg("owner's token not looked after")
		}
		if pace.Sleep(ctx, turnInterval) != nil {
			return
		}
	}
}

// Turn looks after the token once.
func (k *Keeper) Turn(ctx context.Context) error {
	token := k.Token.Current()
	if err := k.describe(ctx, token); err != nil {
		return err
	}
	if k.ExpiresAt().Sub(k.Now()) <= k.key.Lifetime()/2 {
		if err := k.renew(ctx, token); err != nil {
			k.warn()
			return err
		}
	}
	k.warn()
	return k.deleteOld(ctx)
}

func (k *Keeper) cannotRenew() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return errors.Is(k.readOnly, errMounted) || errors.Is(k.readOnly, errOtherScope)
}

// describe asks Coder whose the token is and when it ends: up to 2.34 its use moves the end.
func (k *Keeper) describe(ctx context.Context, token string) error {
	id := coderclient.KeyID(token)
	now := k.Now()
	if id == k.key.ID && now.Sub(k.asked) < rereadInterval {
		return nil
	}
	user, err := k.Coder.Me(ctx, token)
	if errors.Is(err, coderclient.ErrUnauthorized) {
		k.Token.doubt() // the file may hold another by now
		k.mark(true)
		return fmt.Errorf("Coder does not take the owner's token %s: make another, as an owner, with coder tokens create --lifetime 168h: %w", id, err)
	}
	if err != nil {
		return err
	}
	key, err := k.Coder.Key(ctx, user.ID, id)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if id != k.key.ID && errors.Is(k.readOnly, errOtherScope) {
		k.readOnly = nil // it was another's
	}
	k.user, k.key, k.asked, k.dead = user.ID, key, now, false
	return nil
}

func (k *Keeper) mark(dead bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dead = dead
}

// ExpiresAt is when the token ends; zero before Coder was asked.
func (k *Keeper) ExpiresAt() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key.ExpiresAt
}

// warn says once an hour that the token will die.
func (k *Keeper) warn() {
	err := k.Check(context.Background())
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil || k.Now().Sub(k.warned) < time.Hour {
		return
	}
	k.warned = k.Now()
	k.Log.Error().Err(err).Str("key_id", k.key.ID).Msg("the owner's token is about to die: make another, as an owner, with coder tokens create --lifetime 168h")
}

// Check is for readiness: an error when the token is dead, or about to die without being renewed.
func (k *Keeper) Check(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	left := k.key.ExpiresAt.Sub(k.Now())
	warning := warningTime
	if k.Token.Path != "" && k.readOnly == nil {
		warning = min(warning, k.key.Lifetime()/3) // it was to be renewed at half of it
	}
	switch {
	case k.dead:
		return errors.New("Coder does not take the owner's token")
	case k.key.ID == "" || left > warning:
		return nil
	case k.readOnly != nil:
		return fmt.Errorf("the owner's token ends in %s and can't be renewed: %w", left.Round(time.Minute), k.readOnly)
	}
	return fmt.Errorf("the owner's token ends in %s and was not renewed", left.Round(time.Minute))
}
