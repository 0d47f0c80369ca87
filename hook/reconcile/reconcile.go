// Package reconcile compares ledger, Supabase and Coder, and acts on who left or came back.
//
// departures.go deals with who leaves as the database writes it down, scan.go looks for whom it could not write down, and
// reconcile.go goes through the whole ledger now and then. All three decide about one account by walk.go, with offboard.go;
// scan.go keeps them from believing the wrong database, too. Coder is asked for the tokens of accounts on which somebody
// has worked since it was last asked, and slowly, by Look in scan.go, for those of all others. ineligible.go takes from those to whom no rule of the operator's
// gives a key. link.go, revoke.go (revoke_coder.go) and seal.go are an operator's
// commands. needs.go is what it all needs of the database and of Coder.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/hook/apikey"
	"coderhook/hook/lease"
	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

const (
	// Task is the name of the turn in which a replica reconciles.
	Task     = "reconcile"
	PageSize = 100
	// signUpPatience is how long a user who is not there may still be one whose sign-up is not committed.
	signUpPatience = 10 * time.Minute
	// rateLimitPatience is how often one account is tried again after Coder's rate limit.
	rateLimitPatience = 5
	// UnavailableInARow: so many accounts for which Coder has no sensible answer mean that it is down.
	UnavailableInARow = 3
)

// ErrReconciling says that another replica is at it.
var ErrReconciling = errors.New("another replica is reconciling")

// Reconciler compares the ledger with Supabase's users and with Coder: it takes from those who
// left what we gave them, and cleans up what crashes left behind.
type Reconciler struct {
	Instance        string        // names this process in leases and turns
	LeaseTTL        time.Duration // how long a killed holder blocks its user
	Timeout         time.Duration // for one user's work in Coder
	Poll            time.Duration // between looks at what another replica is doing
	PersistPatience time.Duration // how long a user may stay uncommitted before the sign-up counts as rolled back
	LockPatience    time.Duration // how long a locked profile is tried again
	Now             func() time.Time
	Log             zerolog.Logger
	Metrics         *Metrics

	Ledger   Ledger
	Coder    Coder
	Roles    *account.Roles
	Names    account.Names // of accounts that we made
	Keys     *apikey.Minter
	Register Register
	TryKey   func(ctx context.Context, user uuid.UUID) error // checks the stored key of a user who was let off
	// MakeKey has a key made for a user whose tokens live so long.
	MakeKey func(ctx context.Context, known store.Account, life time.Duration) error
	// Withdraw has one made in place of a key that tokens have carried; nil: they may go on doing so.
	Withdraw func(ctx context.Context, known store.Account, life time.Duration) error

	// Standing tells what the operator's rules make of a user who is there; nil: there are no rules.
	Standing func(ctx context.Context, user uuid.UUID) (Standing, error)
	Grace    time.Duration // after which the account is suspended of a user to whom no rule gives a key

	Force    bool          // however many users are gone
	Delete   bool          // off-board by deletion where Coder lets us, not by suspension
	Interval time.Duration // between two runs of any replica
	Pause    time.Duration // after each account that Coder was asked about, for its sake
	Tell     func(string)  // gets every deed in words; nil logs it
	Seen     func()        // is told of each account that was looked at; may be nil

	FullInterval time.Duration // in which each account is looked at in Coder, though nothing has changed: see Look; 0: none is

	Wait func(context.Context, time.Duration) error // sits out Coder's rate limit; nil: in real time
}

// Run reconciles at the interval until ctx ends. Of several replicas one does so.
func (r *Reconciler) Run(ctx context.Context) {
	for pace.Sleep(ctx, min(r.Interval, time.Minute)) == nil {
		sum, err := r.Turn(ctx)
		switch {
		case errors.Is(err, ErrReconciling), errors.Is(err, ErrNotDue), ctx.Err() != nil:
		case errors.Is(err, ErrManyGone):
			r.Log.Error().Err(err).Stringer("summary", sum).Msg("reconciled, but for users who are missing: they keep their access until an operator has looked")
		case err != nil:
			r.Log.Error().Err(err).Stringer("summary", sum).Msg("reconciling ended early: the next run goes on")
		default:
			r.Log.Info().Stringer("summary", sum).Msg("reconciled")
		}
	}
}

// ErrNotDue says that the interval since the last run is not over.
var ErrNotDue = errors.New("not due yet")

// Turn reconciles if it is time. Coder is asked only about accounts with which something has happened.
func (r *Reconciler) Turn(ctx context.Context) (Summary, error) {
	return r.reconcile(ctx, r.Interval, walk{})
}

// Reconcile reconciles now, and asks Coder about every account. A dry run only tells what it would do, and needs no turn.
func (r *Reconciler) Reconcile(ctx context.Context, dry bool) (Summary, error) {
	if dry {
		return r.pass(ctx, walk{dry: true, full: true})
	}
	return r.reconcile(ctx, 0, walk{full: true})
}

func (r *Reconciler) reconcile(ctx context.Context, interval time.Duration, how walk) (sum Summary, err error) {
	turn, err := r.take(ctx, Task)
	if err != nil {
		return Summary{}, err
	}
	defer turn.End(ctx)
	r.Metrics.reconciledAt(turn.Last)
	if r.Now().Sub(turn.Last) < interval {
		return Summary{}, ErrNotDue
	}
	held, stop := turn.Keep(ctx)
	defer stop()
	if sum, err = r.pass(held, how); err == nil || errors.Is(err, ErrManyGone) {
		turn.Finished = r.Now()
	}
	r.account(ctx, sum, err, turn.Finished)
	return sum, err
}

// take takes a task that one replica at a time does. The error is ErrReconciling where another one is at it.
func (r *Reconciler) take(ctx context.Context, name string) (*lease.Turn, error) {
	turn, err := lease.Take(ctx, r.Register, store.Task{Name: name, Owner: r.Instance}, r.Log)
	if errors.Is(err, store.ErrLeased) {
		return nil, ErrReconciling
	}
	return turn, err
}

// account counts a run. One that was broken off, by the server's end or by another replica, did
// not fail, but what it did is done.
func (r *Reconciler) account(ctx context.Context, sum Summary, err error, finished time.Time) {
	if ctx.Err() != nil || errors.Is(err, ErrReconciling) {
		r.Metrics.changed(sum)
		return
	}
	r.Metrics.reconciled(sum, err)
	r.Metrics.reconciledAt(finished)
}

// pass walks through the ledger once, page by page. Killed anywhere it loses nothing: what is
// done is not done again, and what is half done looks as if it were not. Where too many users are missing,
// these are left as they are, and all else is done; a dry run tells what it would do with force.
func (r *Reconciler) pass(ctx context.Context, how walk) (Summary, error) {
	w := &how
	w.Reconciler = r
	var refused error
	if !r.Force {
		refused = w.guard(ctx)
	}
	if refused != nil && !errors.Is(refused, ErrManyGone) {
		return w.sum, refused
	}
	w.withhold = refused != nil && !w.dry
	err := w.pages(ctx, func(e store.Entry, user store.AuthUser) error { return w.patiently(ctx, e, user) })
	if err == nil {
		err = refused
	}
	return w.sum, err
}

// walk is one run.
type walk struct {
	*Reconciler
	dry          bool
	full         bool // asks Coder about every account
	withhold     bool // those who are missing, as they are too many
	keepsAccount bool // of whoever is off-boarded: they are here, and may be eligible again
	sum          Summary
	unavailable  int       // how many accounts in a row Coder had no sensible answer for
	created      time.Time // when the ledger first heard of the account at hand
	asked        bool      // Coder about it
}

// users says of each entry what Supabase Auth does.
func (w *walk) users(ctx context.Context, entries []store.Entry) (map[uuid.UUID]store.AuthUser, error) {
	ids := make([]uuid.UUID, len(entries))
	for i, entry := range entries {
		ids[i] = entry.UserID
	}
	list, err := w.Ledger.AuthUsers(ctx, ids)
	if err != nil {
		return nil, err
	}
	if len(list) != len(ids) {
		return nil, fmt.Errorf("read auth users: asked for %d, told of %d", len(ids), len(list))
	}
	found := make(map[uuid.UUID]store.AuthUser, len(list))
	for _, user := range list {
		found[user.ID] = user
	}
	return found, nil
}

// patiently sits out Coder's rate limit. A Coder that is down ends the run; anything that is
// wrong with one account, also if Coder answers 500 for it, does not keep the others waiting.
func (w *walk) patiently(ctx context.Context, entry store.Entry, user store.AuthUser) error {
	w.sum.Accounts++
	return w.withPatience(ctx, entry, func() error { return w.entry(ctx, entry, user) })
}

func (w *walk) withPatience(ctx context.Context, entry store.Entry, do func() error) error {
	w.created, w.asked = entry.CreatedAt, false
	left := w.sum.GivenOut
	err := do()
	for n := 0; n < rateLimitPatience && errors.Is(err, coderclient.ErrRateLimited); n++ {
		if err := w.sitOut(ctx, err); err != nil {
			return err
		}
		w.sum.GivenOut = left
		err = do()
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errUnderWay):
		err = nil
	case err != nil:
		w.sum.Failed++
		w.Log.Error().Err(err).Stringer("user_id", entry.UserID).Msg("account not reconciled")
	}
	if !errors.Is(err, coderclient.ErrUnavailable) {
		w.unavailable = 0
	} else if w.unavailable++; w.unavailable >= UnavailableInARow || !w.Coder.Available() {
		return err
	}
	if w.dry || !w.asked {
		return nil
	}
	return pace.Sleep(ctx, w.Pause)
}

func (w *walk) sitOut(ctx context.Context, limited error) error {
	wait := w.Wait
	if wait == nil {
		wait = pace.Sleep
	}
	answer, _ := errors.AsType[*coderclient.Error](limited)
	return wait(ctx, max(answer.RetryAfter, time.Second))
}
