package provision

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"coderhook/hook/account"
	"coderhook/hook/apikey"
	"coderhook/hook/lease"
	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

// Request asks for a key that lives at least until the token that will carry it.
type Request struct {
	User  uuid.UUID
	Email string
	Until time.Time     // when the token expires
	Known store.Account // as it was looked up

	OutOfClaims bool // the token does not carry the key itself

	Grant        string // what a key is made with, as grant.Grant writes it
	Set          string // where the key stands, see store.Account.In; "": in the profile
	Organization string // where an account is made; "": where all are
	Name         string // the person's, for an account

	renew bool      // the key is good, but it is time for another
	tries int       // in the background, after the mint that asked got no key
	since time.Time // when that was
	turn  bool      // it may make a Coder user now
}

// unattended: no mint waits for it.
func (r Request) unattended() bool { return r.renew || r.tries > 0 }

// accountRequest asks for the account of a job whose lease is held.
func (j *job) accountRequest() account.Request {
	return account.Request{UserID: j.User, Email: j.Email, Known: j.Known, Lease: j.lease, Tries: j.tries, Since: j.since, Turn: j.turn, Organization: j.Organization, Name: j.Name}
}

// wanted is the key that the token is to carry.
func (r Request) wanted() apikey.Wanted {
	return apikey.Wanted{UserID: r.User, Until: r.Until, Known: r.Known.TokenLife, Grant: r.Grant}
}

// job is the work for one user in this process; every mint of that user waits for the same one.
type job struct {
	Request
	trace    trace.SpanContext // of the mint that began it
	base     context.Context   // the Provisioner's, within that trace
	lease    store.Lease
	done     chan struct{} // closed when key or err is set
	key      string
	expires  time.Time // of the key; zero when nobody knows
	reason   string    // where the key comes from, for the mint that began the job
	err      error
	finished bool // used only by the job's own goroutine
	freed    bool // likewise: its place among the jobs that no mint waits for
	awaited  bool // by a mint; the Provisioner's mu guards it
	carried  bool // by the token of a mint that waits; likewise
	decided  bool // whether it is carried is about to be written down; likewise
	unseen   bool // the key was there already, and no token has carried it
	once     sync.Once
	answered chan struct{} // closed when an answer to a mint that waited has been sent
	left     chan struct{} // closed when the key is stored, or will not be
}

// release lets the key be written: an answer is out.
func (j *job) release() { j.once.Do(func() { close(j.answered) }) }

// isDone reports whether the key was there already, and is only not stored yet.
func (j *job) isDone() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// finish gives the result to all who wait. Only the first call counts.
func (j *job) finish(key string, err error) {
	if j.finished {
		return
	}
	j.key, j.err, j.finished = key, err, true
	close(j.done)
}

// work does a job from the lease to the stored key.
func (p *Provisioner) work(j *job) {
	base, span := otel.Tracer("coderhook").Start(trace.ContextWithSpanContext(p.base, j.trace), "provision")
	j.base = base
	defer span.End()
	release := func() {}
	// After leave: whoever can take the lease must not find this job's key any more, but look it up.
	defer func() { release() }()
	defer p.leave(j)
	j.reason = ReasonFound // by acquire, if that is all
	key, err := p.acquire(j)
	if err != nil || key != "" {
		j.expires, j.unseen = j.Known.KeyExpiresAt, j.Known.KeyUnseen
		p.finish(j, key, err)
		if err != nil && j.unattended() { // else the mint's line says it
			p.Log.Warn().Err(err).Stringer("user_id", j.User).Msg("no key")
		}
		return
	}
	ctx, stop := lease.Keep(j.base, p.Ledger, j.lease, p.LeaseTTL, p.Log)
	release = stop
	made, err := p.makeKey(ctx, j)
	j.reason, j.expires, j.unseen = made.reason(), made.key.ExpiresAt, made.kept && j.Known.KeyUnseen
	p.finish(j, made.key.Secret, err)
	if errors.Is(err, errGone) {
		p.Log.Info().Err(err).Stringer("user_id", j.User).Msg("not tried again")
		return
	}
	if err != nil {
		p.fail(ctx, j, err)
		return
	}
	p.persist(ctx, j, made)
}

// finish gives the result to the mints that wait. Without any there is no answer to be waited for.
func (p *Provisioner) finish(j *job, key string, err error) {
	if err != nil {
		p.later(j.Request, err)
	}
	p.mu.Lock()
	if !j.awaited {
		j.release()
	}
	p.mu.Unlock()
	j.finish(key, err)
	p.freeBackground(j) // storing a key can take minutes, where a sign-up is rolled back or a row locked
}

func (p *Provisioner) freeBackground(j *job) {
	if j.unattended() && !j.freed {
		j.freed = true
		<-p.background
	}
}

// leave ends a job, however it ended. A panic must not take the server down, nor leave anybody waiting.
func (p *Provisioner) leave(j *job) {
	if fault := recover(); fault != nil {
		p.Log.Error().Stringer("user_id", j.User).Interface("panic", fault).Bytes("stack", debug.Stack()).Msg("provisioning panicked")
		j.finish("", errors.New("provision: internal error"))
	}
	p.freeBackground(j)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.jobs, j.User)
	close(j.left)
}

// acquire takes one of the slots, which makeKey gives back, and the user's lease. Where another
// replica has the lease, it waits, holding no slot, for the key that is being made there,
// which it returns, or for the lease of a killed holder to run out.
func (p *Provisioner) acquire(j *job) (key string, err error) {
	p.metrics.waiting.Inc()
	defer p.metrics.waiting.Dec()
	ctx, cancel := context.WithTimeout(j.base, p.Timeout)
	defer cancel()
	for {
		if !j.Known.Leased {
			key, held, err := p.claim(ctx, j)
			if held || err != nil || key != "" {
				return key, err
			}
		}
		if err := pace.Sleep(ctx, p.Poll); err != nil {
			return "", fmt.Errorf("wait for the lease: %w", err)
		}
		if key, err := p.lookAgain(ctx, j); err != nil || key != "" {
			return key, err
		}
	}
}

// claim holds slot and lease if it says so, and neither otherwise.
func (p *Provisioner) claim(ctx context.Context, j *job) (key string, held bool, err error) {
	if err := p.takeSlot(ctx); err != nil {
		return "", false, err
	}
	defer func() {
		if !held {
			p.freeSlot()
		}
	}()
	if err := p.refuse(ctx, j.Request); err != nil { // since the mint asked
		return "", false, err
	}
	switch err := p.Ledger.Claim(ctx, j.lease, p.LeaseTTL); {
	case errors.Is(err, store.ErrLeased):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("provision: %w", err)
	}
	// Whoever held the lease before may have finished since we looked.
	key, err = p.lookAgain(ctx, j)
	if err != nil || key != "" {
		if errors.Is(err, account.ErrConflict) { // else it would be asked again at every mint
			p.record(ctx, j, store.Conflict, err)
		}
		lease.Release(p.base, p.Ledger, j.lease, p.Log)
		return key, false, err
	}
	return "", true, nil
}

func (p *Provisioner) takeSlot(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a slot: %w", ctx.Err())
	}
}

func (p *Provisioner) freeSlot() { <-p.slots }

// lookAgain returns the key that somebody else may have stored since the job began, or "".
func (p *Provisioner) lookAgain(ctx context.Context, j *job) (string, error) {
	found, err := p.look(ctx, j.Request)
	if err != nil {
		return "", fmt.Errorf("provision: %w", err)
	}
	if err := account.Distrust(found); err != nil {
		return "", err
	}
	if found.Encryption == store.Locked {
		return "", fmt.Errorf("provision: %w", store.ErrLocked)
	}
	j.Known = found
	if p.suits(j, found) {
		return found.APIKey, nil
	}
	return "", nil
}

// look tells of the user with the key that is asked for.
func (p *Provisioner) look(ctx context.Context, r Request) (store.Account, error) {
	if r.Set != "" {
		return p.Ledger.LookupSet(ctx, r.User, r.Set)
	}
	return p.Ledger.Lookup(ctx, r.User)
}

// settleCarried decides for good whether the key that is about to be stored is in a token. A mint that comes later, and whose token is to
// carry it, waits until it is stored, to take the mark away.
func (p *Provisioner) settleCarried(j *job) (carried bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	j.decided = true
	return j.carried
}

// suits reports whether the account's key is what the job is to get.
func (p *Provisioner) suits(j *job, a store.Account) bool {
	rule := p.Rule
	rule.OutOfClaims, rule.Grant = j.OutOfClaims, j.Grant
	state := rule.Judge(a, j.Until, p.Now())
	return state == apikey.Good || state.Usable() && !j.renew
}
