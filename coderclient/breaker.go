package coderclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sony/gobreaker/v2"
)

// BreakerSettings say when to stop asking a Coder that is down, and for how long.
type BreakerSettings struct {
	Failures uint32        // consecutive failed attempts that open it; default 5
	CoolDown time.Duration // after which one request is let through; default 2 s
}

var errBreakerOpen = errors.New("not asked: Coder is down")

func newBreaker(s BreakerSettings) *gobreaker.CircuitBreaker[struct{}] {
	failures := orDefault(s.Failures, 5)
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:      orDefault(s.CoolDown, 2*time.Second),
		ReadyToTrip:  func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= failures },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
		IsSuccessful: func(err error) bool { return !isDown(err) },
	})
}

// isDown tells failures of Coder from its refusals. A rate limited Coder is up.
func isDown(err error) bool {
	return errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrRateLimited)
}

// guarded is one attempt through the breaker.
func (c *Client) guarded(ctx context.Context, rq call, read reader) error {
	if err := ctx.Err(); err != nil { // not Coder's fault
		return rq.fail(answer{}, err)
	}
	_, err := c.breaker.Execute(func() (struct{}, error) {
		return struct{}{}, c.attempt(ctx, rq, read)
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return rq.fail(answer{}, errBreakerOpen)
	}
	return err
}

// Available reports whether Coder answered lately: the breaker is closed. While it is false calls fail at once with
// ErrUnavailable, but for one after each cool-down; Probe is meant to be that one.
func (c *Client) Available() bool { return c.breaker.State() == gobreaker.StateClosed }

// Probe asks, once, who the owner's token belongs to. Unlike build information that takes Coder's database, and so it
// closes the breaker only when Coder is really back. Before the cool-down is over it fails without asking.
func (c *Client) Probe(ctx context.Context) error {
	var owner User
	rq := call{endpoint: "probe", method: http.MethodGet, path: []string{"users", "me"}, token: c.token, once: true}
	if err := c.do(ctx, rq, owner.reader()); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	return nil
}
