package reconcile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/lease"
	"coderhook/hook/pace"
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
	Ender KeyEnder
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
		if pace.Sleep(waiting, r.Poll) != nil {
			return err
		}
	}
}

// ErrNotLiving is why somebody who left gets no new key.
var ErrNotLiving = errors.New("the user is gone or banned in Supabase")

// makeNew has the next key made, for a token of now.
func (r *Revoker) makeNew(ctx context.Context, user uuid.UUID) error {
	found, err := store.OneAuthUser(r.Ledger.AuthUsers(ctx, []uuid.UUID{user}))
	if err != nil {
		return err
	}
	if !found.Living(r.Now()) {
		return ErrNotLiving
	}
	known, err := r.Ledger.Lookup(ctx, user)
	if err != nil {
		return err
	}
	if known.CoderUserID == uuid.Nil {
		return errors.New("there is no Coder account yet") // a mint makes it: only its claims have the e-mail address
	}
	life := max(known.TokenLife, time.Hour)
	return r.MakeKey(ctx, known, life)
}

// RevokeTask is the name of the task that only one process at a time may do.
const RevokeTask = "revoke"

// Everybody revokes the keys of all accounts, in the order of their users. Broken off, the next
// call goes on behind the last account that was done, unless it is to begin anew. Each is told of.
func (r *Revoker) Everybody(ctx context.Context, anew bool, each func(Revocation, error)) error {
	task := store.Task{Name: RevokeTask, Owner: r.Instance + "/" + strings.ToLower(rand.Text()[:8])}
	turn, err := lease.Take(ctx, r.Register, task, r.Log)
	if errors.Is(err, store.ErrLeased) {
		return errors.New("somebody else is revoking everybody's keys")
	}
	if err != nil {
		return err
	}
	defer turn.End(ctx)
	at, err := r.Book.Progress(ctx, task)
	if err != nil {
		return err
	}
	if anew || at.StartedAt.IsZero() {
		at = store.Progress{StartedAt: r.Now()}
	}
	held, stop := turn.Keep(ctx)
	defer stop()
	if err := r.onward(held, task, at, each); err != nil {
		return err
	}
	turn.Finished = r.Now()
	return r.Book.SaveProgress(ctx, task, store.Progress{})
}

// onward goes from the account that was reached to the last. One for which Coder has no sensible answer is reported,
// and not counted as reached, so that a run that goes on from there tries it again.
func (r *Revoker) onward(ctx context.Context, task store.Task, at store.Progress, each func(Revocation, error)) error {
	unavailable := 0
	for after := at.Reached; ; {
		entries, err := r.Register.Page(ctx, after, PageSize)
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
				if unavailable++; unavailable >= UnavailableInARow || !r.Coder.Available() {
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
