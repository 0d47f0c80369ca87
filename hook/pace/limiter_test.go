package pace

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"coderhook/coderclient"
)

// refusalOfCoder is what every Coder with the default settings says.
var refusalOfCoder = coderclient.Error{Status: 429, RetryAfter: time.Minute, RateLimit: 512}

// in counts the users that could be made in d by somebody who asks all the time.
func (p *Limiter) in(d time.Duration) (n int) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for ctx.Err() == nil {
		if p.Wait(ctx) == nil {
			n++
		}
		time.Sleep(10 * time.Millisecond) // in the bubble's time
	}
	return n
}

func TestPaceRestsAndProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p Limiter
		before := time.Now()
		time.Sleep(time.Millisecond)
		if rest := p.Limited(&refusalOfCoder); rest != time.Minute {
			t.Errorf("rests %s, want what Coder said", rest)
		}
		if p.Limited(&refusalOfCoder) != 0 {
			t.Error("what was under way is counted as another refusal")
		}
		p.Accepted(before)
		err := p.Wait(t.Context())
		if refused, ok := errors.AsType[*coderclient.Error](err); !ok || refused.RetryAfter != time.Minute {
			t.Errorf("an answer from before the refusal ends it: %v", err)
		}
		if n := p.in(30 * time.Second); n < 29 || n > 30 {
			t.Errorf("%d probes in half a minute, want one a second", n)
		}
		p.Accepted(time.Now())
		if p.Rest() != 0 || p.Wait(t.Context()) != nil {
			t.Error("a probe that succeeded does not end the rest")
		}
	})
}

func TestPaceStaysBelowTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p Limiter
		p.Limited(&refusalOfCoder)
		time.Sleep(time.Minute)
		if n := p.in(time.Minute); n < 455 || n > 461 {
			t.Errorf("%d users in a minute, want nine tenths of 512", n)
		}
		p.Limited(&refusalOfCoder)
		time.Sleep(time.Minute)
		if n := p.in(time.Minute); n < 225 || n > 231 {
			t.Errorf("%d users in a minute, want half of it", n)
		}
		grown := p.in(20*time.Minute) / 20
		if n := p.in(time.Minute); n <= 231 || n < grown || n > 461 {
			t.Errorf("%d users in a minute after %d, want the pace to grow up to the limit", n, grown)
		}
		for range 10 {
			p.Limited(&refusalOfCoder)
			time.Sleep(time.Minute)
		}
		if n := p.in(time.Minute); n < 28 || n > 30 {
			t.Errorf("%d users in a minute, want the slowest pace", n)
		}
		if err := p.Now(); err == nil {
			t.Error("a sign-in comes before those who wait for their turn")
		}
		time.Sleep(time.Minute)
		if first, second := p.Now(), p.Now(); first != nil || !errors.Is(second, coderclient.ErrRateLimited) {
			t.Errorf("of two sign-ins at once the first gets %v, the second %v; want one turn", first, second)
		}
		p.Forget()
		if err := p.Wait(t.Context()); err != nil || p.current() != nil {
			t.Errorf("the pace outlives the backlog: %v", err)
		}
	})
}

// Coder's word counts within bounds: a proxy can say anything, or nothing.
func TestPaceBoundsTheRest(t *testing.T) {
	t.Parallel()
	for said, want := range map[time.Duration]time.Duration{0: time.Second, 40 * time.Second: 40 * time.Second, 24 * time.Hour: 5 * time.Minute} {
		var p Limiter
		if rest := p.Limited(&coderclient.Error{Status: 429, RetryAfter: said, RateLimit: -1}); rest != want || p.limiter.Limit() <= 0 {
			t.Errorf("Retry-After %s: rests %s, want %s, and goes on with %v", said, rest, want, p.limiter.Limit())
		}
	}
}
