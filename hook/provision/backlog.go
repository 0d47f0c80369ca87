package provision

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
)

// Who is in the backlog is tried again after a second, and then ever more rarely.
const (
	shortestDelay = time.Second
	longestDelay  = 5 * time.Minute
)

// errGone: no key is wanted any more. It is not tried again.
var errGone = errors.New("no key is made")

// ErrLeft: who is gone or banned gets none, also when the event is an old one or was under way.
var ErrLeft = fmt.Errorf("%w: the user is gone or banned in Supabase", errGone)

var (
	errOldToken   = fmt.Errorf("%w: the token that asked for it has expired", errGone)
	errRolledBack = fmt.Errorf("%w: there is no such user, the sign-up was rolled back", errGone)
)

// backlog is who was answered without a key for a reason that passes: Coder is down, limits us,
// or took too long. They are tried again in the background, so that the next mint finds a key
// and need not wait for one. It is in memory only: what a crash loses begins anew at that mint.
type backlog struct {
	byDue entries
	byKey map[keyOf]*entry
	busy  bool // workOff is at it
}

// keyOf is which key of which user is to be made.
type keyOf struct {
	user uuid.UUID
	set  string
}

func (r Request) key() keyOf { return keyOf{r.User, r.Set} }

// entry is one user's request.
type entry struct {
	Request
	due time.Time // by the real clock, as all waiting; tokens and users live by the Provisioner's
}

// entries is a heap: what is due first comes first.
type entries []*entry

func (e entries) Len() int           { return len(e) }
func (e entries) Less(i, j int) bool { return e[i].due.Before(e[j].due) }
func (e entries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *entries) Push(x any)        { *e = append(*e, x.(*entry)) }
func (e *entries) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last], *e = nil, (*e)[:last]
	return x
}

// later puts a Request that failed into the backlog, if another try can help. A renewal is tried
// again by the next mint, which has a key until then.
func (p *Provisioner) later(r Request, why error) {
	if r.renew || errors.Is(why, account.ErrConflict) || errors.Is(why, ErrStopping) || errors.Is(why, errGone) || errors.Is(why, store.ErrLocked) {
		return
	}
	delay := min(shortestDelay<<min(r.tries, 10), longestDelay)
	if refused, ok := errors.AsType[*coderclient.Error](why); ok {
		delay = max(delay, min(refused.RetryAfter, pace.LongestRest))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping || p.Backlog == 0 {
		return
	}
	if known, ok := p.backlog.byKey[r.key()]; ok {
		if r.Until.After(known.Until) {
			known.Email, known.Until = r.Email, r.Until
		}
		return
	}
	if len(p.backlog.byDue) >= p.Backlog {
		p.Log.Warn().Stringer("user_id", r.User).Int("backlog", p.Backlog).Msg("too many users wait for a key: this one's is made at the next mint")
		return
	}
	r.tries, r.since, r.Known = r.tries+1, cmp.Or(r.since, p.Now()), store.Account{} // known by then
	e := &entry{r, time.Now().Add(delay)}
	p.backlog.byKey[r.key()] = e
	heap.Push(&p.backlog.byDue, e)
	p.metrics.backlog.Inc()
	if !p.backlog.busy {
		p.backlog.busy = true
		p.workingOff.Go(p.workOff)
	}
}

// workOff tries all again until the backlog is empty or the server stops.
func (p *Provisioner) workOff() {
	for {
		r, wait, ok := p.nextDue()
		if !ok {
			return
		}
		if wait == 0 {
			p.tryAgain(r)
		}
		_ = pace.Sleep(p.ending, wait) // when it has ended, nextDue says so
	}
}

// nextDue takes out what is due, or tells how long to wait, no more than a second as something
// may come that is due before. It is false when there is nothing left, or the server stops.
func (p *Provisioner) nextDue() (_ Request, wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.backlog
	if len(b.byDue) == 0 || p.ending.Err() != nil {
		b.busy = false
		if len(p.background) == 0 { // else those jobs keep the pace for who comes next
			p.Accounts.Pace.Forget()
		}
		return Request{}, 0, false
	}
	if wait = min(time.Until(b.byDue[0].due), time.Second); wait > 0 {
		return Request{}, wait, true
	}
	if !p.Coder.Available() || p.mayMakeNow() != nil {
		return Request{}, time.Second, true
	}
	e := heap.Pop(&b.byDue).(*entry)
	delete(b.byKey, e.key())
	p.metrics.backlog.Dec()
	return e.Request, 0, true
}

// tryAgain begins a job, once it is the user's turn and there is room. Whoever waits here holds no
// slot and no lease: sign-ins that need no new Coder user go on.
func (p *Provisioner) tryAgain(r Request) {
	if err := p.awaitTurn(r); err != nil {
		p.Log.Debug().Err(err).Stringer("user_id", r.User).Msg("not tried again yet")
		p.later(r, err)
		return
	}
	select {
	case p.background <- struct{}{}:
	case <-p.ending.Done():
		return
	}
	r.turn = true
	if _, isNew, err := p.join(p.base, r); err != nil || !isNew {
		<-p.background
		p.later(r, ErrPending) // the job that is there may be ending just now, or be for an older token
	}
}

// awaitTurn waits within Coder's rate limit, which is for new Coder users only.
func (p *Provisioner) awaitTurn(r Request) error {
	ctx, cancel := context.WithTimeout(p.ending, p.Timeout)
	defer cancel()
	account, err := p.Ledger.Lookup(ctx, r.User)
	if err != nil || account.CoderUserID != uuid.Nil {
		return err
	}
	return p.Accounts.Pace.Wait(p.ending)
}

// stillWanted looks, just before anything is made, whether the user is to have a key: nobody may get
// an account in Coder who is banned or deleted. A sign-up that is not committed can't be seen yet.
func (p *Provisioner) stillWanted(ctx context.Context, r Request) error {
	now := p.Now()
	waited := r.tries > 0
	if waited && r.Until.Before(now) {
		return errOldToken
	}
	user, err := store.OneAuthUser(p.Ledger.AuthUsers(ctx, []uuid.UUID{r.User}))
	switch {
	case err != nil:
		return fmt.Errorf("provision: %w", err)
	case user.Left(now), !user.Exists && r.Known.Status == store.Offboarded:
		return ErrLeft
	case waited && !user.Exists && now.Sub(r.since) > p.PersistPatience:
		return errRolledBack
	}
	return nil
}
