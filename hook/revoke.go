package hook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coderhook/coderclient"
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

// errNotLiving is why somebody who left gets no new key.
var errNotLiving = errors.New("the user is gone or banned in Supabase")

// makeNew has the next key made, for a token of now.
func (r *Revoker) makeNew(ctx context.Context, user uuid.UUID) error {
	found, err := r.Ledger.AuthUsers(ctx, []uuid.UUID{user})
	if err != nil {
		return err
	}
	if len(found) != 1 || !found[0].Living(r.Now()) {
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
	return r.MakeKey(ctx, known, life)
}
