// Package provision has one worker per user make account and key, across replicas, while mints wait, or ahead of them.
//
// provision.go is what a mint calls, options.go its times and limits, stop.go its load and its end. job.go is one user's work, from the lease to the stored key: make.go makes account
// and key, persist.go writes the key once the answer is out. What fails for a reason that passes goes into backlog.go.
// roles.go ends what an account was given that has roles, and status.go is what the client is told.
package provision

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/hook/apikey"
	"coderhook/hook/lease"
	"coderhook/hook/metrics"
	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// Ledger is what provisioning needs of the database. What takes a lease is fenced by it: a worker
// that lost it can no longer write.
type Ledger interface {
	lease.Ledger
	Outcomes
	Lookup(ctx context.Context, user uuid.UUID) (store.Account, error)
	LookupSet(ctx context.Context, user uuid.UUID, set string) (store.Account, error)
	AuthUsers(ctx context.Context, ids []uuid.UUID) ([]store.AuthUser, error)
}

// Outcomes is what is written down of a user's work.
type Outcomes interface {
	RecordFailure(ctx context.Context, lease store.Lease, status store.Status, reason string) error
	RefuseRoles(ctx context.Context, lease store.Lease, now time.Time, why string) error
	RecordKey(ctx context.Context, lease store.Lease, key store.Key) error
	StoreKey(ctx context.Context, lease store.Lease, key store.Key) error
	Orphan(ctx context.Context, lease store.Lease) error
}

// Coder is what provisioning itself needs of Coder.
type Coder interface {
	Available() bool
	DeleteUser(ctx context.Context, user uuid.UUID) error
}

// Provisioner makes Coder users and keys. At most one worker is at it for a user: in this
// process by the table of jobs, across replicas by the lease in the ledger.
type Provisioner struct {
	Options
	Ledger   Ledger
	Coder    Coder
	Accounts *account.Maker
	Keys     *apikey.Minter
	Rule     apikey.Rule
	Log      zerolog.Logger
	// MayMake says why no key may be made, if none may. It may wait to know, as long as the context lasts;
	// what it knows it says also after that.
	MayMake func(context.Context) error

	metrics  *counters
	mu       sync.Mutex
	jobs     map[uuid.UUID]*job
	backlog  backlog
	stopping bool

	running    sync.WaitGroup // jobs
	workingOff sync.WaitGroup // the backlog
	slots      chan struct{}
	background chan struct{}   // limits the jobs that no mint waits for to half of the slots
	base       context.Context // of the work that outlives the Request that asked for it
	cancel     context.CancelFunc
	ending     context.Context // ends when the server begins to stop
	end        context.CancelFunc
}

// New returns a Provisioner that is ready to work; Stop ends it.
func New(o Options, ledger Ledger, coder Coder, accounts *account.Maker, keys *apikey.Minter, reg *metrics.Registry, log zerolog.Logger) *Provisioner {
	base, cancel := context.WithCancel(context.Background())
	ending, end := context.WithCancel(base)
	return &Provisioner{
		Options: o, Ledger: ledger, Coder: coder, Accounts: accounts, Keys: keys, Log: log,
		Rule:       apikey.Rule{RenewBefore: o.RenewBefore},
		MayMake:    func(context.Context) error { return nil },
		metrics:    newCounters(reg),
		jobs:       make(map[uuid.UUID]*job),
		backlog:    backlog{byKey: make(map[keyOf]*entry)},
		slots:      make(chan struct{}, o.Concurrency),
		background: make(chan struct{}, max(1, o.Concurrency/2)),
		base:       base, cancel: cancel, ending: ending, end: end,
	}
}

// Result is the key for a token, or why there is none.
type Result struct {
	Key      string
	Made     bool   // while the caller waited
	Unseen   bool   // the ledger says that no token has carried it: whoever gives it to one says so there before
	Reason   string // where it comes from
	Err      error
	Answered func() // to be called once the answer is out
}

// Provision returns the user's key, made now if need be. When ctx ends first, the work goes on
// without the caller. Result.Answered must be called once the answer is out: the key is
// written to the profile only then, as the sign-in's own transaction may hold that row locked.
func (p *Provisioner) Provision(ctx context.Context, r Request) Result {
	if err := p.refuse(ctx, r); err != nil {
		return Result{Err: err, Answered: func() { p.later(r, err) }}
	}
	for {
		found, over := p.await(ctx, r)
		if over == nil {
			return found
		}
		// That job was for a token that ends earlier, and this one needs another key; or for one that does not carry its key,
		// or whose session is given another key.
		select {
		case <-over:
		case <-ctx.Done():
			return Result{Err: ErrPending, Answered: func() { p.later(r, ErrPending) }}
		}
	}
}

// await returns what comes of the user's job, which it begins if there is none; or else, if that is a key that
// dies before the token, is being stored as one that no token carries, or is of another set, when the job is over.
func (p *Provisioner) await(ctx context.Context, r Request) (_ Result, over <-chan struct{}) {
	j, ours, err := p.join(ctx, r)
	if err != nil {
		return Result{Err: err, Answered: func() {}}, nil
	}
	if j.Set != r.Set || p.tooLate(j, r) {
		return Result{}, j.left
	}
	made := !j.isDone()
	select {
	case <-j.done:
	case <-ctx.Done():
		return Result{Err: ErrPending, Answered: j.release}, nil
	}
	if j.err == nil && !j.expires.IsZero() && j.expires.Before(r.Until) {
		j.release() // else it would wait for us
		return Result{}, j.left
	}
	found := Result{Key: j.key, Made: made, Unseen: j.unseen, Reason: ReasonFound, Err: j.err, Answered: j.release}
	if ours { // one key that many wait for is made once
		found.Reason = j.reason
	}
	if j.err != nil { // the job may have been for an older token, so that its end need not be ours
		why := j.err
		if errors.Is(why, errGone) && !ours {
			why = ErrPending
		}
		found.Answered = func() { j.release(); p.later(r, why) }
	}
	return found, nil
}

// tooLate reports whether the token is to carry the key of a job that is storing it as one that none carries.
func (p *Provisioner) tooLate(j *job, r Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !r.OutOfClaims && j.decided && !j.carried
}

// refuse says at once what would fail anyway: no sign-in waits for a Coder that is known to be
// down, and a conflict is not asked again at every mint.
func (p *Provisioner) refuse(ctx context.Context, r Request) error {
	if !p.Coder.Available() {
		return fmt.Errorf("provision: %w", coderclient.ErrUnavailable)
	}
	if err := p.MayMake(ctx); err != nil {
		return fmt.Errorf("provision: %w", err)
	}
	if r.Known.Encryption == store.Locked { // a new key would overwrite one that is good
		return fmt.Errorf("provision: %w", store.ErrLocked)
	}
	if r.Known.Conflicted() && p.Now().Sub(r.Known.UpdatedAt) < p.RetryConflict {
		return fmt.Errorf("provision: %w: %s", account.ErrConflict, r.Known.LastError)
	}
	return nil
}

// mayMakeNow asks without waiting.
func (p *Provisioner) mayMakeNow() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return p.MayMake(ctx)
}

// Renew starts a job that nobody waits for: the old key is handed out until the new one is stored.
// When many keys age at the same time, those who wait for their first one come before them.
func (p *Provisioner) Renew(ctx context.Context, r Request) {
	r.renew = true
	if p.refuse(ctx, r) != nil {
		return
	}
	select {
	case p.background <- struct{}{}:
	default:
		return // there will be another mint
	}
	if _, isNew, err := p.join(p.base, r); err != nil || !isNew { // somebody is at it, or we are stopping
		<-p.background
	}
}

// MakeKey has a key made for a user whose token lives so long from now on.
func (p *Provisioner) MakeKey(ctx context.Context, known store.Account, life time.Duration) error {
	made := p.Provision(ctx, Request{User: known.UserID, Until: p.Now().Add(life), Known: known, OutOfClaims: p.OutOfClaims, Grant: known.KeyGrant, Set: known.Set})
	made.Answered()
	return made.Err
}

// Withdraw has a key made in place of one that tokens have carried, and waits until it is stored. The old one is retired,
// as at every renewal. It takes its turn with the other jobs that no mint waits for.
func (p *Provisioner) Withdraw(ctx context.Context, known store.Account, life time.Duration) error {
	r := Request{User: known.UserID, Until: p.Now().Add(life), Known: known, OutOfClaims: true, Grant: known.KeyGrant, renew: true}
	if err := p.refuse(ctx, r); err != nil {
		return err
	}
	select {
	case p.background <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	j, isNew, err := p.join(p.base, r)
	if err != nil || !isNew {
		<-p.background
	}
	if err != nil {
		return err
	}
	select {
	case <-j.left:
	case <-ctx.Done():
		return ctx.Err()
	}
	if j.err != nil {
		return j.err
	}
	now, err := p.Ledger.Lookup(ctx, known.UserID)
	if err == nil && !now.KeyUnseen {
		err = errors.New("withdraw: the new key is not stored")
	}
	return err
}

// Ahead is [Provisioner.Provision] for somebody whom no sign-in waits for: it waits for its turn within Coder's rate
// limit, and sits out what Coder refuses.
func (p *Provisioner) Ahead(ctx context.Context, r Request) Result {
	for {
		err := error(nil)
		if r.Known.CoderUserID == uuid.Nil {
			err = p.Accounts.Pace.Wait(ctx)
		}
		if err == nil {
			r.turn = true
			found := p.Provision(ctx, r)
			if !errors.Is(found.Err, coderclient.ErrRateLimited) {
				return found
			}
			found.Answered()
			err = found.Err
		}
		limited, known := errors.AsType[*coderclient.Error](err)
		if !known {
			return Result{Err: err, Answered: func() {}}
		}
		if err := pace.Sleep(ctx, min(max(limited.RetryAfter, shortestDelay), pace.LongestRest)); err != nil {
			return Result{Err: err, Answered: func() {}}
		}
	}
}

// join returns the job that works for the user, and whether it is a new one.
func (p *Provisioner) join(ctx context.Context, r Request) (_ *job, isNew bool, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if j, ok := p.jobs[r.User]; ok {
		if j.Set != r.Set { // nobody here waits for that key
			return j, false, nil
		}
		j.awaited = j.awaited || !r.unattended()
		j.carried = j.carried || !r.OutOfClaims && !j.decided
		return j, false, nil
	}
	if p.stopping {
		return nil, false, ErrStopping
	}
	j := &job{
		Request: r, trace: trace.SpanContextFromContext(ctx),
		done: make(chan struct{}), answered: make(chan struct{}), left: make(chan struct{}), awaited: !r.unattended(), carried: !r.OutOfClaims,
		lease: lease.New(p.Instance, r.User),
	}
	p.jobs[r.User] = j
	p.running.Go(func() { p.work(j) })
	return j, true, nil
}
