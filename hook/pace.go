package hook

import (
	"cmp"
	"context"
	"sync"
	"time"

	"coderhook/coderclient"

	"golang.org/x/time/rate"
)

// How Coder's rate limit is kept to. How much and how long is Coder's to say, within bounds.
const (
	shortestRest = time.Second
	longestRest  = 5 * time.Minute
	defaultLimit = 60          // requests, where nobody says: it is a proxy's limit
	paceShare    = 0.9         // of the limit; the rest is left to people
	paceSteps    = 16          // the slowest pace is one of so many parts
	probeEvery   = time.Second // while resting
)

// pace keeps the making of users within Coder's rate limit, which counts together all who ask
// for that path, in a window that slides: who rests as long as Coder says and then goes on at
// full speed is refused again at once. So after the rest users are made evenly; half as many
// when even that was too much, as other replicas make users too, and slowly more while it is not.
type pace struct {
	mu      sync.Mutex
	resume  time.Time // no user is made before, but for probes
	probe   time.Time // when one may be tried
	refusal coderclient.Error
	refused time.Time     // when that was
	window  time.Duration // of the limit
	top     rate.Limit    // users per second that Coder would take from us alone
	raise   time.Time     // when the pace may grow
	limiter *rate.Limiter // nil: not limited lately
}

// limited takes note of a refusal and returns how long to rest; 0 when that is known already.
func (p *pace) limited(refusal *coderclient.Error) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Before(p.resume) {
		return 0
	}
	p.refusal, p.refused = *refusal, now
	p.window = min(max(refusal.RetryAfter, shortestRest), longestRest)
	p.top = paceShare * rate.Limit(cmp.Or(max(refusal.RateLimit, 0), defaultLimit)) / rate.Limit(p.window.Seconds())
	next := p.top
	if p.limiter != nil {
		next = max(p.limiter.Limit()/2, p.top/paceSteps)
	}
	p.limiter = rate.NewLimiter(next, 1)
	p.resume, p.probe = now.Add(p.window), now.Add(probeEvery)
	p.raise = p.resume.Add(p.window)
	return p.window
}

// accepted: a user was made. Where that was asked for since the refusal, the rest is over.
func (p *pace) accepted(asked time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if asked.After(p.refused) {
		p.resume = time.Time{}
	}
}

// rest is how long no user is made.
func (p *pace) rest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, time.Until(p.resume))
}

// wait returns when it is time to make a user. Its error is Coder's refusal, while that holds, or
// the context's end.
func (p *pace) wait(ctx context.Context) error {
	if limiter := p.current(); limiter != nil {
		if err := limiter.Wait(ctx); err != nil {
			return err
		}
	}
	return p.ask()
}

// now is for a sign-in, which does not wait: its error is Coder's refusal, until it can be tried again.
func (p *pace) now() error {
	limiter := p.current()
	if limiter == nil {
		return p.ask()
	}
	turn := limiter.Reserve()
	if delay := turn.Delay(); delay > 0 {
		turn.Cancel()
		return p.refuse(delay)
	}
	return nil
}

func (p *pace) current() *rate.Limiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Before(p.resume) {
		return nil
	}
	if p.limiter != nil && now.After(p.raise) {
		p.limiter.SetLimit(min(p.limiter.Limit()+p.top/paceSteps, p.top))
		p.raise = now.Add(p.window)
	}
	return p.limiter
}

// ask is Coder's refusal while it holds. One sign-in each second asks Coder again.
func (p *pace) ask() error {
	if rest := p.rest(); rest > 0 && !p.mayProbe() {
		return p.refuse(rest)
	}
	return nil
}

func (p *pace) mayProbe() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Before(p.probe) {
		return false
	}
	p.probe = now.Add(probeEvery)
	return true
}

func (p *pace) refuse(wait time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	refusal := p.refusal
	refusal.RetryAfter = wait
	return &refusal
}

// forget lets users be made at full speed again.
func (p *pace) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limiter = nil
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
