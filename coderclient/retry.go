package coderclient

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	maxAttempts = 3
	// maxRateWait is how long a call may sit out a rate limit; beyond it the caller decides.
	maxRateWait = time.Second
)

// do makes the call: through the breaker, and again where that is harmless. Its error is an *Error.
func (c *Client) do(ctx context.Context, rq call, read reader) error {
	delay := c.delays()
	for n := 1; ; n++ {
		err := c.guarded(ctx, rq, read)
		failure, failed := errors.AsType[*Error](err)
		if !failed || n == maxAttempts || !repeatable(rq, failure) {
			return err
		}
		if !wait(ctx, max(delay(n), failure.RetryAfter)) {
			return err
		}
	}
}

// delays gives every call its own backoff, as the default one keeps state.
func (c *Client) delays() RetryDelay {
	if c.delay != nil {
		return c.delay
	}
	growing := &backoff.ExponentialBackOff{
		InitialInterval: 100 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: time.Second,
	}
	growing.Reset()
	return func(int) time.Duration { return growing.NextBackOff() }
}

// repeatable decides from the request and its failure alone. A 429 was not executed, so that also a POST may be sent
// again; an unknown outcome may be repeated only where the second time changes nothing.
func repeatable(rq call, failure *Error) bool {
	switch {
	case errors.Is(failure, ErrRateLimited):
		return failure.RetryAfter > 0 && failure.RetryAfter <= maxRateWait
	case rq.once || rq.method == http.MethodPost || errors.Is(failure, errBreakerOpen):
		return false
	}
	return errors.Is(failure, ErrUnavailable)
}

// wait reports whether there was time for it: no wait ends later than ctx.
func wait(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
