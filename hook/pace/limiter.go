// Package pace says when: it sleeps under a context, and keeps to Coder's rate limit.
package pace

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
	LongestRest  = 5 * time.Minute // whatever Coder says
	defaultLimit = 60              // requests, where nobody says: it is a proxy's limit
	Share        = 0.9             // of the limit; the rest is left to people
	steps        = 16              // the slowest pace is one of so many parts
	probeEvery   = time.Second     // while resting
)

// Limiter keeps the making of users within Coder's rate limit, which counts together all who ask
// for that path, in a window that slides: who rests as long as Coder says and then goes on at
// full speed is refused again at once. So after the rest users are made evenly; half as many
// when even that was too much, as other replicas make users too, and slowly more while it is not.
type Limiter struct {
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

// Limited takes note of a refusal and returns how long to rest; 0 when that is known already.
func (p *Limiter) Limited(refusal *coderclient.Error) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Before(p.resume) {
		return 0
	}
	p.refusal, p.refused = *refusal, now
	p.window = min(max(refusal.RetryAfter, shortestRest), LongestRest)
	p.top = Share * rate.Limit(cmp.Or(max(refusal.RateLimit, 0), defaultLimit)) / rate.Limit(p.window.Seconds())
	next := p.top
	if p.limiter != nil {
		next = max(p.limiter.Limit()/2, p.top/steps)
	}
	p.limiter = rate.NewLimiter(next, 1)
	p.resume, p.probe = now.Add(p.window), now.Add(probeEvery)
	p.raise = p.resume.Add(p.window)
	return p.window
}

// Accepted: a user was made. Where that was asked for since the refusal, the rest is over.
func (p *Limiter) Accepted(asked time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if asked.After(p.refused) {
		p.resume = time.Time{}
	}
}

// Rest is how long no user is made.
func (p *Limiter) Rest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, time.Until(p.resume))
}

// Wait returns when it is time to make a user. Its error is Coder's refusal, while that holds, or
// the context's end.
func (p *Limiter) Wait(ctx context.Context) error {
	if limiter := p.current(); limiter != nil {
		if err := limiter.Wait(ctx); err != nil {
			return err
		}
	}
	return p.ask()
}

// Now is for a sign-in, which does not wait: its error is Coder's refusal, until it can be tried again.
func (p *Limiter) Now() error {
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

func (p *Limiter) current() *rate.Limiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Before(p.resume) {
		return nil
	}
	if p.limiter != nil && now.After(p.raise) {
		p.limiter.SetLimit(min(p.limiter.Limit()+p.top/steps, p.top))
		p.raise = now.Add(p.window)
	}
	return p.limiter
}

// ask is Coder's refusal while it holds. One sign-in each second asks Coder again.
func (p *Limiter) ask() error {
	if rest := p.Rest(); rest > 0 && !p.mayProbe() {
		return p.refuse(rest)
	}
	return nil
}

func (p *Limiter) mayProbe() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Before(p.probe) {
		return false
	}
	p.probe = now.Add(probeEvery)
	return true
}

func (p *Limiter) refuse(wait time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	refusal := p.refusal
	refusal.RetryAfter = wait
	return &refusal
}

// Limiting reports whether users are made slower than anybody asks.
func (p *Limiter) Limiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limiter != nil
}

// Forget lets users be made at full speed again.
func (p *Limiter) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limiter = nil
}
