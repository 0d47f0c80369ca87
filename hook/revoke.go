package hook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

// Revocations is what revoking needs of the database beyond what reconciling does.
type Revocations interface {
	Revoke(ctx context.Context, lease store.Lease, now time.Time, actor, why string) error
	Progress(ctx context.Context, task store.Task) (store.Progress, error)
	SaveProgress(ctx context.Context, task store.Task, progress store.Progress) error
}

// KeyEnder ends keys in Coder that no list shows.
type KeyEnder interface {
	EndAllKeys(ctx context.Context, user uuid.UUID) error
}

// Revoker ends keys that may be in other hands, and has new ones made.
type Revoker struct {
	*Reconciler
	Book  Revocations
	Keys  KeyEnder
	All   bool   // also the tokens and sessions that are not ours: a stolen key can make others
	Actor string // who says so, for the audit trail
	Why   string // likewise
}

// Revocation is what became of one user's keys.
type Revocation struct {
	User     uuid.UUID
	Account  string // the Coder user's name; "" for none
	Ours     int    // tokens that were ended
	Others   int    // likewise, that we did not make
	Left     int    // tokens that we did not make, and that go on
	Sessions bool   // everything else was ended, too, as with a new password
	Foreign  string // the Coder user with site roles whose key was in the profile; "" for none
	NoNewKey error  // why there is no new key yet; nil: there is one
}

func (r Revocation) String() string {
	text := fmt.Sprintf("user %s", r.User)
	if r.Account != "" {
		text += ", Coder user " + r.Account
	}
	text += fmt.Sprintf(": %d of our keys ended", r.Ours)
	if r.Others > 0 {
		text += fmt.Sprintf(", and %d tokens that we did not make", r.Others)
	}
	if r.Sessions {
		text += ", and all sessions"
	}
	if r.Left > 0 {
		text += fmt.Sprintf("; %d tokens that we did not make go on: --all-tokens ends them as well", r.Left)
	}
	if r.Foreign != "" {
		text += fmt.Sprintf("; the key in the profile is that of Coder user %s, who has site roles, and goes on: end it in Coder", r.Foreign)
	}
	if r.NoNewKey != nil {
		return text + "; no new key yet, the next token mint makes it: " + r.NoNewKey.Error()
	}
	return text + "; a new one is made"
}

// ErrNothingToRevoke says that the user has no key that we could know.
var ErrNothingToRevoke = errors.New("there is neither a Coder account nor a key of this user")

// leasePatience is how long a mint may be at work on the account before we give up on it.
const leasePatience = time.Minute

// Revoke ends the user's keys in Coder and has a new one made. From the beginning no mint hands
// out the old one. Broken off anywhere, it can be repeated.
func (r *Revoker) Revoke(ctx context.Context, user uuid.UUID) (Revocation, error) {
	done := Revocation{User: user}
	known, err := r.Ledger.Lookup(ctx, user)
	if err != nil {
		return done, err
	}
	if known.CoderUserID == uuid.Nil && coderclient.KeyID(known.APIKey) == "" {
		return done, ErrNothingToRevoke
	}
	stray := ""
	err = r.whenFree(ctx, user, func(ctx context.Context, lease store.Lease) (err error) {
		stray, err = r.end(ctx, lease, known, &done)
		return err
	})
	if err == nil && stray != "" {
		err = r.Ledger.RefuseUnknownKey(ctx, user, stray, r.Now(), "revoked")
		if errors.Is(err, store.ErrSuperseded) {
			err = nil // a mint is at work on a new one
		}
	}
	if err != nil {
		return done, err
	}
	done.NoNewKey = r.makeNew(ctx, user)
	return done, nil
}

// whenFree does something with the account's lease, as soon as nobody else works on it.
func (r *Revoker) whenFree(ctx context.Context, user uuid.UUID, do func(context.Context, store.Lease) error) error {
	w := &walk{Reconciler: r.Reconciler}
	waiting, cancel := context.WithTimeout(ctx, leasePatience)
	defer cancel()
	for {
		err := w.holding(ctx, user, do)
		if !errors.Is(err, store.ErrLeased) {
			return err
		}
		if sleep(waiting, r.Poll) != nil {
			return err
		}
	}
}

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
	if gone(err) {
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
	if gone(err) {
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
		err := r.Keys.EndAllKeys(ctx, user.ID)
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
			if err := r.Coder.DeleteKey(ctx, account.CoderUserID, token.ID); err != nil && !gone(err) {
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
	if gone(err) {
		err = nil
	}
	return tokens, err
}

// count says of each token whose it is.
func (done *Revocation) count(account store.Account, tokens []coderclient.Key) {
	for _, token := range tokens {
		if ours(account, token) {
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
	case errors.Is(err, coderclient.ErrUnauthorized), errors.Is(err, coderclient.ErrInactive), gone(err):
		return nil // it opens nothing, or Coder does not say whose it is
	case err != nil:
		return err
	case len(user.Roles) > 0:
		done.Foreign = user.Username
		return nil
	}
	if err := r.Coder.DeleteKey(ctx, user.ID, coderclient.KeyID(key)); err != nil && !gone(err) {
		return err
	}
	done.Ours++
	return nil
}

// errNotLiving is why somebody who left gets no new key.
var errNotLiving = errors.New("the user is gone or banned in Supabase")

// makeNew has the next key made, for a token of now.
func (r *Revoker) makeNew(ctx context.Context, user uuid.UUID) error {
	found, err := r.Ledger.AuthUsers(ctx, []uuid.UUID{user})
	if err != nil {
		return err
	}
	if len(found) != 1 || !living(found[0], r.Now()) {
		return errNotLiving
	}
	known, err := r.Ledger.Lookup(ctx, user)
	if err != nil {
		return err
	}
	if known.CoderUserID == uuid.Nil {
		return errors.New("there is no Coder account yet") // a mint makes it: only its claims have the e-mail address
	}
	life := max(known.TokenLife, time.Hour)
	made := r.Provision(ctx, request{user: user, until: r.Now().Add(life), known: known})
	made.answered()
	return made.err
}

// revokeTask is the name of the task that only one process at a time may do.
const revokeTask = "revoke"

// Everybody revokes the keys of all accounts, in the order of their users. Broken off, the next
// call goes on behind the last account that was done, unless it is to begin anew. Each is told of.
func (r *Revoker) Everybody(ctx context.Context, anew bool, each func(Revocation, error)) error {
	task := store.Task{Name: revokeTask, Owner: r.Instance + "/" + strings.ToLower(rand.Text()[:8])}
	if _, err := r.Register.ClaimTask(ctx, task, taskLease); errors.Is(err, store.ErrLeased) {
		return errors.New("somebody else is revoking everybody's keys")
	} else if err != nil {
		return err
	}
	var finished time.Time
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		_ = r.Register.ReleaseTask(ctx, task, finished) // it runs out by itself
	}()
	at, err := r.Book.Progress(ctx, task)
	if err != nil {
		return err
	}
	if anew || at.StartedAt.IsZero() {
		at = store.Progress{StartedAt: r.Now()}
	}
	held, stop := r.holdTask(ctx, task)
	defer stop()
	if err := r.onward(held, task, at, each); err != nil {
		return err
	}
	finished = r.Now()
	return r.Book.SaveProgress(ctx, task, store.Progress{})
}

// onward goes from the account that was reached to the last. One for which Coder has no sensible answer is reported,
// and not counted as reached, so that a run that goes on from there tries it again.
func (r *Revoker) onward(ctx context.Context, task store.Task, at store.Progress, each func(Revocation, error)) error {
	unavailable := 0
	for after := at.Reached; ; {
		entries, err := r.Register.Page(ctx, after, pageSize)
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, entry := range entries {
			after = entry.UserID
			done, err := r.patiently(ctx, entry.UserID)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !errors.Is(err, ErrNothingToRevoke) {
				each(done, err)
			}
			if errors.Is(err, coderclient.ErrUnavailable) {
				if unavailable++; unavailable >= unavailableInARow || !r.Coder.Available() {
					return fmt.Errorf("broken off; the same command goes on from here: %w", err)
				}
				continue
			}
			unavailable, at.Reached = 0, entry.UserID
			if err := r.Book.SaveProgress(ctx, task, at); err != nil {
				return err
			}
		}
	}
}

// patiently sits out Coder's rate limit.
func (r *Revoker) patiently(ctx context.Context, user uuid.UUID) (Revocation, error) {
	w := &walk{Reconciler: r.Reconciler}
	done, err := r.Revoke(ctx, user)
	for n := 0; n < rateLimitPatience && errors.Is(err, coderclient.ErrRateLimited); n++ {
		if err := w.sitOut(ctx, err); err != nil {
			return done, err
		}
		done, err = r.Revoke(ctx, user)
	}
	return done, err
}
