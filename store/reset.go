package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// Between two resets of the pool at least: after one that helped, after one that did not, which
// doubles with each, and the longest.
const (
	helpedPause    = 100 * time.Millisecond
	resetPause     = time.Second
	longResetPause = 30 * time.Second
)

// resets replaces the pool's connections, at most so often.
type resets struct {
	reset func()
	now   func() time.Time
	count atomic.Int64

	mu    sync.Mutex
	last  time.Time
	pause time.Duration
}

// since reports whether the pool was reset since so many times, or resets it now, if the last time is long enough ago.
// It waits for one who is at it: a reset that is not over hands out connections of before.
func (r *resets) since(seen int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count.Load() != seen {
		return true
	}
	now := r.now()
	if now.Sub(r.last) < r.pause {
		return false
	}
	r.last, r.pause = now, min(max(2*r.pause, resetPause), longResetPause)
	r.again()
	return true
}

// force resets, without waiting its turn.
func (r *resets) force() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.again()
}

func (r *resets) again() {
	r.reset()
	r.count.Add(1)
}

// helped: the next one need not wait for long.
func (r *resets) helped() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pause = helpedPause
}
