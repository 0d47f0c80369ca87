// Package ahead makes everybody's account and key before the hook is switched on, so that nobody's first token is without
// one: user by user as a mint would, at Coder's pace. Broken off anywhere, the next run skips what is there.
package ahead

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/hook/claims"
	"coderhook/hook/pace"
	"coderhook/hook/policy"
	"coderhook/hook/provision"
	"coderhook/store"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// Users lists those who may sign in, and what the ledger knows of them.
type Users interface {
	LivingUsers(ctx context.Context, after uuid.UUID, limit int) ([]uuid.UUID, error)
	UserFacts(ctx context.Context, ids []uuid.UUID) ([]store.UserFacts, error)
	Entries(ctx context.Context, users []uuid.UUID) ([]store.Entry, error)
}

// Keys has a user's key made that lives until then, if there is none. Entitled says why there is to be none.
type Keys interface {
	Entitled(f store.UserFacts) error
	Ahead(ctx context.Context, f store.UserFacts, email string, until time.Time) provision.Result
}

// Coder tells whether it can be reached.
type Coder interface {
	Available() bool
	Probe(ctx context.Context) error
}

// pageSize is how many users are read at a time.
const pageSize = 500

// Runner makes keys for all. All fields are required but Where, Rate and MayMake.
type Runner struct {
	Users         Users
	Keys          Keys
	Coder         Coder
	Policy        policy.Policy
	ConfirmedOnly bool                                // new Coder users belong to whoever has their address
	Where         func(store.UserFacts) (bool, error) // nil: all
	MayMake       func(context.Context) error         // asked for each page; nil: yes
	Workers       int                                 // users at a time
	Rate          rate.Limit                          // users for whom something is made, a second; 0: at Coder's pace
	TokenLife     time.Duration                       // of access tokens: a key has to outlive one of now
	Patience      time.Duration                       // with a Coder that can't be reached
	Now           func() time.Time

	limiter *rate.Limiter
}

// Outcome is what came of one user.
type Outcome struct {
	User uuid.UUID
	Made bool   // a key; else there was one, or Why says why there is none
	None string // kind of reason, of which there are few
	Err  error  // what failed; nil where there is to be none
}

// ErrCoderDown ends a run: the next one goes on from there.
var ErrCoderDown = errors.New("Coder can't be reached")

// Plan says what a run would do, as far as the database tells.
type Plan struct {
	Users    int // who may sign in
	Make     int // who get a key
	Accounts int // of these, who have no account yet
	Have     int // who have a key
	None     map[string]int
}

// CoderPace is how many users Coder takes a minute (its limit is 512 requests), at the share of it that we take.
const CoderPace = pace.Share * 512

// Takes estimates how long a run takes at so many users a minute at most; 0: at Coder's pace.
func (p Plan) Takes(perMinute int) time.Duration {
	minutes := float64(p.Accounts) / CoderPace
	if perMinute > 0 {
		minutes = max(minutes, float64(p.Make)/float64(perMinute))
	}
	return time.Duration(minutes * float64(time.Minute))
}

// Plan looks at all users and makes nothing.
func (r *Runner) Plan(ctx context.Context) (Plan, error) {
	plan := Plan{None: make(map[string]int)}
	err := r.pages(ctx, func(facts []store.UserFacts) error {
		ids := make([]uuid.UUID, len(facts))
		for i, f := range facts {
			ids[i] = f.UserID
		}
		entries, err := r.Users.Entries(ctx, ids)
		if err != nil {
			return err
		}
		known := make(map[uuid.UUID]store.Account, len(entries))
		for _, e := range entries {
			known[e.UserID] = e.Account
		}
		for _, f := range facts {
			plan.add(r, f, known[f.UserID])
		}
		return nil
	})
	return plan, err
}

func (p *Plan) add(r *Runner, f store.UserFacts, known store.Account) {
	p.Users++
	none, _ := r.none(f)
	switch {
	case none != "":
		p.None[none]++
	case known.KeyID != "" && !known.KeyRefused && known.Status == store.Active && known.KeyExpiresAt.After(r.Now().Add(r.TokenLife)):
		p.Have++
	default:
		p.Make++
		if known.CoderUserID == uuid.Nil {
			p.Accounts++
		}
	}
}

// Kinds of reasons why somebody gets no key, beside the built-in ones of policy.
const (
	NoneWhere       = "not among those of --where"
	NoneUnconfirmed = "e-mail address not confirmed"
	NoneConflict    = "conflict: an operator has to decide"
	NoneFailed      = "failed"
)

// none says why a user is to get no key, as far as can be known without trying, and whose address it is.
func (r *Runner) none(f store.UserFacts) (kind, email string) {
	var c claims.Claims
	if err := claims.Unmarshal(f.Claims, &c); err != nil || !f.Exists {
		return policy.SkipRole, "" // gone by now, or not readable
	}
	c.AAL = "aal3" // in some session
	if skip := r.Policy.Skip(c); skip != "" {
		return skip, ""
	}
	if r.Where != nil {
		if matches, err := r.Where(f); err != nil || !matches {
			return NoneWhere, ""
		}
	}
	if err := r.Keys.Entitled(f); err != nil {
		return err.Error(), ""
	}
	if r.ConfirmedOnly && f.ConfirmedEmail == "" {
		return NoneUnconfirmed, ""
	}
	return "", c.Email
}

// pages goes through all users who may sign in.
func (r *Runner) pages(ctx context.Context, do func([]store.UserFacts) error) error {
	for after := uuid.Nil; ; {
		ids, err := r.Users.LivingUsers(ctx, after, pageSize)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		facts, err := r.Users.UserFacts(ctx, ids)
		if err != nil {
			return err
		}
		if err := do(facts); err != nil {
			return err
		}
	}
}

// Run has the keys made, and tells of each user, one at a time. It ends early with ctx, or where Coder can't be reached.
func (r *Runner) Run(ctx context.Context, each func(Outcome)) error {
	r.limiter = rate.NewLimiter(rate.Inf, 1)
	if r.Rate > 0 {
		r.limiter.SetLimit(r.Rate)
	}
	var telling sync.Mutex
	failures := 0 // in a row
	return r.pages(ctx, func(facts []store.UserFacts) error {
		if r.MayMake != nil {
			if err := r.MayMake(ctx); err != nil {
				return err
			}
		}
		group, working := errgroup.WithContext(ctx) // which also ends when all are done
		group.SetLimit(r.Workers)
		for _, f := range facts {
			if working.Err() != nil {
				break
			}
			group.Go(func() error {
				outcome, err := r.one(working, f)
				if err != nil {
					return err
				}
				telling.Lock()
				defer telling.Unlock()
				each(outcome)
				if failures++; outcome.None != NoneFailed {
					failures = 0
				}
				if failures >= failuresInARow {
					return fmt.Errorf("%d users in a row failed, the last one: %w", failures, outcome.Err)
				}
				return nil
			})
		}
		return cmp.Or(group.Wait(), context.Cause(ctx))
	})
}

// failuresInARow are no single users' fault.
const failuresInARow = 20

// tries are how often somebody is tried for whom Coder has no sensible answer.
const tries = 3

// one has one user's key made. Its error ends the run.
func (r *Runner) one(ctx context.Context, f store.UserFacts) (Outcome, error) {
	o := Outcome{User: f.UserID}
	none, email := r.none(f)
	if o.None = none; none != "" {
		return o, nil
	}
	if err := r.limiter.Wait(ctx); err != nil {
		return o, err
	}
	for n := 1; ; n++ {
		found := r.Keys.Ahead(ctx, f, email, r.Now().Add(r.TokenLife))
		found.Answered()
		o.Made, o.Err = found.Made, found.Err
		if found.Err == nil {
			return o, nil
		}
		if ctx.Err() != nil {
			return o, context.Cause(ctx)
		}
		if !r.Coder.Available() {
			if err := r.awaitCoder(ctx); err != nil {
				return o, fmt.Errorf("%w: %w", err, found.Err)
			}
			n--
			continue
		}
		if !passes(found.Err) || n == tries {
			o.None = kindOf(found.Err)
			return o, nil
		}
		if err := pace.Sleep(ctx, time.Second<<n); err != nil {
			return o, err
		}
	}
}

// awaitCoder returns when Coder answers again.
func (r *Runner) awaitCoder(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	for !r.Coder.Available() {
		if pace.Sleep(waiting, time.Second) != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return ErrCoderDown
		}
		_ = r.Coder.Probe(waiting) // it closes the breaker where it can
	}
	return nil
}

// passes reports whether another try can help.
func passes(err error) bool {
	status := provision.StatusOf(err)
	return status != provision.StatusConflict && status != provision.StatusNotEligible && !errors.Is(err, account.ErrUnconfirmed) &&
		!errors.Is(err, coderclient.ErrForbidden) && !errors.Is(err, coderclient.ErrUnauthorized)
}

func kindOf(err error) string {
	switch {
	case errors.Is(err, account.ErrUnconfirmed):
		return NoneUnconfirmed
	case provision.StatusOf(err) == provision.StatusConflict:
		return NoneConflict
	}
	return NoneFailed
}
