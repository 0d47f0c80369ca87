// Package cached keeps another server's answer, and prefers an old one to none.
package cached

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// Fresh is how long another server's answer is used without asking again:
	// Supabase's own edge keeps its keys for as long.
	Fresh = 10 * time.Minute
	// Pause is between two questions at least, however they end, once there is an answer.
	// Who makes up key ids or hosts can't make us ask more often, nor keep us from asking for longer.
	Pause = 30 * time.Second
	// FirstPause is the same as long as there is no answer at all, and nothing works.
	FirstPause = time.Second
	// Timeout bounds one question.
	Timeout = 3 * time.Second
	// Patience is how long somebody waits for a new answer while the old one would do.
	Patience = time.Second
)

// Value is something that another server says and that seldom changes. An old answer
// is better than none: it stays in use for as long as the other server is down.
type Value[T any] struct {
	Fetch func(context.Context) (T, error)
	Now   func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	value  T
	known  time.Time // when value was fetched; zero: never
	tried  time.Time // when it was last asked for
	err    error     // of the last try
}

// Get returns the answer, a new one if the old one is no longer fresh.
func (c *Value[T]) Get(ctx context.Context) (T, error) {
	value, known, _ := c.Peek()
	switch {
	case known.IsZero():
		return c.Renew(ctx)
	case c.Now().Sub(known) < Fresh:
		return value, nil
	}
	waiting, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return c.Renew(waiting)
}

// Renew asks again, unless that was done a moment ago. Callers at the same time share one question.
func (c *Value[T]) Renew(ctx context.Context) (T, error) {
	asked := c.flight.DoChan("", func() (any, error) {
		c.ask(ctx)
		return nil, nil
	})
	var late error
	select {
	case <-asked:
	case <-ctx.Done():
		late = ctx.Err()
	}
	value, known, err := c.Peek()
	if !known.IsZero() {
		return value, nil
	}
	if err == nil {
		err = late
	}
	return value, err
}

// ask is for one goroutine at a time. It outlives the caller, who shares it with others.
func (c *Value[T]) ask(ctx context.Context) {
	if !c.due() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), Timeout)
	defer cancel()
	value, err := c.Fetch(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = err; err == nil {
		c.value, c.known = value, c.Now()
	}
}

// Outdated returns 0 if the answer was given since then, else how long it takes until the next question may be asked.
func (c *Value[T]) Outdated(since time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known.Before(since) {
		return 0
	}
	return max(time.Second, Pause-c.Now().Sub(c.tried))
}

// due tells whether the pause is over, and begins the next one.
func (c *Value[T]) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	pause := Pause
	if c.known.IsZero() {
		pause = FirstPause
	}
	if !c.tried.IsZero() && c.Now().Sub(c.tried) < pause {
		return false
	}
	c.tried = c.Now()
	return true
}

// Peek returns what is known, when it was asked for, and why the last question failed.
func (c *Value[T]) Peek() (value T, known time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value, c.known, c.err
}
