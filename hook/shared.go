package hook

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// sharedFor is how long the answer to a check is given to others.
const sharedFor = time.Second

// Shared makes one question of all that come within a second: whoever can reach the server may ask
// whether it is ready, and the answer is not to be had from the sign-ins' connections each time.
func Shared(run func(context.Context) error, now func() time.Time) func(context.Context) error {
	return (&shared{run: run, now: now}).answer
}

type shared struct {
	run func(context.Context) error
	now func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	asked  time.Time
	err    error
}

func (s *shared) answer(ctx context.Context) error {
	done := s.flight.DoChan("", func() (any, error) { return nil, s.ask(ctx) })
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask is for one goroutine at a time. It outlives the caller, who shares it with others.
func (s *shared) ask(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if !s.asked.IsZero() && now.Sub(s.asked) < sharedFor {
		return s.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	s.asked, s.err = now, s.run(ctx)
	return s.err
}
