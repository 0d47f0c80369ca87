package hook

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/lease"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

const (
	ownerTask   = "owner-token"
	ownerPrefix = "coderhook-owner-" // begins the names of the tokens that we mint for ourselves
	ownerTurn   = time.Minute
	// ownerReread is how often Coder is asked for the end of a token whose end is known.
	ownerReread = 10 * time.Minute
	// ownerGrace is for replicas that have not read the file again, or that have one of their own.
	ownerGrace = 10 * time.Minute
	// ownerWarning is how long before its end a token that we can't renew is complained about.
	ownerWarning = 48 * time.Hour
)

// OwnerCoder is what looking after the owner's token needs of Coder.
type OwnerCoder interface {
	Me(ctx context.Context, key string) (coderclient.User, error)
	Key(ctx context.Context, user uuid.UUID, keyID string) (coderclient.Key, error)
	CreateToken(ctx context.Context, user uuid.UUID, token coderclient.NewToken) (string, error)
	DeleteKey(ctx context.Context, user uuid.UUID, keyID string) error
}

// OwnerLedger is what it needs of the database: a turn for one replica, and a memory for the
// tokens that were replaced.
type OwnerLedger interface {
	ClaimTask(ctx context.Context, task store.Task, ttl time.Duration) (finished time.Time, err error)
	ReleaseTask(ctx context.Context, task store.Task, finished time.Time) error
	Retire(ctx context.Context, key store.Retired) error
	Retired(ctx context.Context, user uuid.UUID) ([]store.Retired, error)
	ForgetRetired(ctx context.Context, keyID string) error
}

// OwnerKeeper keeps the owner's token from dying: half-way through its life it mints a successor
// and writes it into the file. Where it can't, it complains in time.
type OwnerKeeper struct {
	Token    *OwnerToken
	Coder    OwnerCoder
	Ledger   OwnerLedger
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
func (k *OwnerKeeper) Run(ctx context.Context) {
	for {
		if err := k.Turn(ctx); err != nil && ctx.Err() == nil {
			k.Log.Warn().Err(err).Msg("owner's token not looked after")
		}
		if sleep(ctx, ownerTurn) != nil {
			return
		}
	}
}

// Turn looks after the token once.
func (k *OwnerKeeper) Turn(ctx context.Context) error {
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

func (k *OwnerKeeper) cannotRenew() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return errors.Is(k.readOnly, errMounted) || errors.Is(k.readOnly, errOtherScope)
}

// describe asks Coder whose the token is and when it ends: up to 2.34 its use moves the end.
func (k *OwnerKeeper) describe(ctx context.Context, token string) error {
	id := coderclient.KeyID(token)
	now := k.Now()
	if id == k.key.ID && now.Sub(k.asked) < ownerReread {
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

func (k *OwnerKeeper) mark(dead bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dead = dead
}

// ExpiresAt is when the token ends; zero before Coder was asked.
func (k *OwnerKeeper) ExpiresAt() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key.ExpiresAt
}

// renew puts a successor in the token's place. One replica at a time does so; another one finds
// that it was done.
func (k *OwnerKeeper) renew(ctx context.Context, token string) error {
	if k.Token.Path == "" {
		k.fixed(errors.New("CODER_OWNER_TOKEN is given by value and not as a file"))
		return nil
	}
	if k.cannotRenew() { // it was found out: no token is minted again only to be thrown away
		return nil
	}
	turn, err := lease.Take(ctx, k.Ledger, store.Task{Name: ownerTask, Owner: k.Instance}, k.Log)
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
func (k *OwnerKeeper) fixed(why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.readOnly = why
}

// replace mints and writes a successor. The old token lives on for a while, in the ledger's memory.
func (k *OwnerKeeper) replace(ctx context.Context) error {
	file, err := succeed(k.Token.Path)
	if err != nil {
		return err
	}
	defer file.giveUp()
	token, err := k.Coder.CreateToken(ctx, k.user, coderclient.NewToken{
		Name: ownerPrefix + strings.ToLower(rand.Text()[:12]), Lifetime: k.key.Lifetime(),
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
	err = k.Ledger.Retire(ctx, store.Retired{KeyID: old, UserID: uuid.Nil, CoderUserID: k.user, Until: k.Now().Add(ownerGrace)})
	return errors.Join(err, k.describe(ctx, k.Token.Current()))
}

// errOtherScope says that the token can't be renewed as it is: a narrow one must not become a full one.
var errOtherScope = errors.New("Coder gives the successor other rights than the token has (scope, scopes, allow_list): make another by hand")

// resembles refuses a successor that does not work, or that may do more or less than the token.
func (k *OwnerKeeper) resembles(ctx context.Context, token, id string) error {
	if _, err := k.Coder.Me(ctx, token); err != nil {
		return err
	}
	successor, err := k.Coder.Key(ctx, k.user, id)
	if err == nil && !successor.Allows(k.key) {
		err = fmt.Errorf("%w: %w", errReadOnly, errOtherScope)
	}
	return err
}

func (k *OwnerKeeper) discard(ctx context.Context, id string) error {
	ctx, cancel := lease.Detach(ctx)
	defer cancel()
	return k.Coder.DeleteKey(ctx, k.user, id)
}

// deleteOld deletes the tokens that were replaced a while ago. They are the ledger's keys of nobody.
func (k *OwnerKeeper) deleteOld(ctx context.Context) error {
	old, err := k.Ledger.Retired(ctx, uuid.Nil)
	for _, key := range old {
		if err == nil && key.Until.Before(k.Now()) && key.KeyID != k.key.ID {
			err = k.deleteReplaced(ctx, key)
		}
	}
	return err
}

// ownerName is that of every token we make for ourselves.
var ownerName = regexp.MustCompile("^" + ownerPrefix + "[a-z2-7]{12}$")

// ownerForget is how long a token of another name is left to the replica that replaced it. It dies by itself.
const ownerForget = 24 * time.Hour

// deleteReplaced deletes what we made, or replaced: an owner may have other tokens, which a row of the ledger that
// somebody else wrote must not end.
func (k *OwnerKeeper) deleteReplaced(ctx context.Context, key store.Retired) error {
	read, err := k.Coder.Key(ctx, key.CoderUserID, key.KeyID)
	switch {
	case errors.Is(err, coderclient.ErrNotFound):
		return k.Ledger.ForgetRetired(ctx, key.KeyID)
	case err != nil:
		return err
	case !ownerName.MatchString(read.TokenName) && !k.replaced[key.KeyID]:
		if key.Until.Add(ownerForget).After(k.Now()) {
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

// warn says once an hour that the token will die.
func (k *OwnerKeeper) warn() {
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
func (k *OwnerKeeper) Check(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	left := k.key.ExpiresAt.Sub(k.Now())
	warning := ownerWarning
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
