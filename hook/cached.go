package hook

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// cacheFresh is how long another server's answer is used without asking again:
	// Supabase's own edge keeps its keys for as long.
	cacheFresh = 10 * time.Minute
	// cachePause is between two questions at least, however they end, once there is an answer.
	// Who makes up key ids or hosts can't make us ask more often, nor keep us from asking for longer.
	cachePause = 30 * time.Second
	// cacheFirstPause is the same as long as there is no answer at all, and nothing works.
	cacheFirstPause = time.Second
	// cacheTimeout bounds one question.
	cacheTimeout = 3 * time.Second
	// cachePatience is how long somebody waits for a new answer while the old one would do.
	cachePatience = time.Second
)

// cached is something that another server says and that seldom changes. An old answer
// is better than none: it stays in use for as long as the other server is down.
type cached[T any] struct {
	fetch func(context.Context) (T, error)
	now   func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	value  T
	known  time.Time // when value was fetched; zero: never
	tried  time.Time // when it was last asked for
	err    error     // of the last try
}

// get returns the answer, a new one if the old one is no longer fresh.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	value, known, _ := c.peek()
	switch {
	case known.IsZero():
		return c.renew(ctx)
	case c.now().Sub(known) < cacheFresh:
		return value, nil
	}
	waiting, cancel := context.WithTimeout(ctx, cachePatience)
	defer cancel()
	return c.renew(waiting)
}

// renew asks again, unless that was done a moment ago. Callers at the same time share one question.
func (c *cached[T]) renew(ctx context.Context) (T, error) {
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
	value, known, err := c.peek()
	if !known.IsZero() {
		return value, nil
	}
	if err == nil {
		err = late
	}
	return value, err
}

// ask is for one goroutine at a time. It outlives the caller, who shares it with others.
func (c *cached[T]) ask(ctx context.Context) {
	if !c.due() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cacheTimeout)
	defer cancel()
	value, err := c.fetch(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = err; err == nil {
		c.value, c.known = value, c.now()
	}
}

// outdated is 0 if the answer was given since then, else how long it takes until the next question may be asked.
func (c *cached[T]) outdated(since time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known.Before(since) {
		return 0
	}
	return max(time.Second, cachePause-c.now().Sub(c.tried))
}

// due tells whether the pause is over, and begins the next one.
func (c *cached[T]) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	pause := cachePause
	if c.known.IsZero() {
		pause = cacheFirstPause
	}
	if !c.tried.IsZero() && c.now().Sub(c.tried) < pause {
		return false
	}
	c.tried = c.now()
	return true
}

func (c *cached[T]) peek() (value T, known time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value, c.known, c.err
}
