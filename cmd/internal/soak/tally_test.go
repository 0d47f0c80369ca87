package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// counts are by name.
type counts struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counts) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[string]int)
	}
	c.n[name]++
}

func (c *counts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(c.n)) {
		list = append(list, fmt.Sprintf("%s %d", name, c.n[name]))
	}
	return strings.Join(list, ", ")
}

// tally is what happened.
type tally struct {
	mints, calm, calmWithout, short, forgotten atomic.Int64
	refused, broken, down, killed, stalled     atomic.Int64
	signUps, rolledBack, left                  atomic.Int64
	returned, lives, kills, terms              atomic.Int64
	keys, healedIn, settledIn                  atomic.Int64
	heap, goroutines, coderConns               atomic.Int64
	outcomes, faults, frontEnd                 counts
	mu                                         sync.Mutex
	lastToAgree                                string
	times, afterKey, outAfter                  []time.Duration
}

func (t *tally) answered(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times = append(t.times, took)
}

// waited is from the making of a key to the answer, of a sign-in that holds the profile locked.
func (t *tally) waited(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.afterKey = append(t.afterKey, d)
}

// quantile of a list that it sorts.
func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[int(q*float64(len(list)-1))].Round(100 * time.Microsecond)
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf(`
  mints        %d answered (%s), slowest %s, 99%% within %s, half within %s
  not answered %d attempts refused, %d broken by a kill; sign-ins lost: %d with no server up, %d killed in the middle, %d while the machine stood still
  keys         %d made; given out while nothing failed: %d, and none: %d; shorter than the token: %d; of a Coder that was installed anew: %d
  people       %d signed up, %d rolled back, %d banned or deleted (out within %s, half of them within %s), %d banned and back; create-coder-user: %s
  servers      %d processes, %d killed, %d told to end
  faults       %s
  after them   everybody had a good key after %s; all was consistent after %s, at last: %s
  left over    heap %.1f MiB at most, %d goroutines, %d connections to Coder`,
		t.mints.Load(), &t.outcomes, quantile(t.times, 1), quantile(t.times, .99), quantile(t.times, .5),
		t.refused.Load(), t.broken.Load(), t.down.Load(), t.killed.Load(), t.stalled.Load(),
		t.keys.Load(), t.calm.Load(), t.calmWithout.Load(), t.short.Load(), t.forgotten.Load(),
		t.signUps.Load(), t.rolledBack.Load(), t.left.Load(), quantile(t.outAfter, 1), quantile(t.outAfter, .5), t.returned.Load(), &t.frontEnd,
		t.lives.Load(), t.kills.Load(), t.terms.Load(), &t.faults,
		time.Duration(t.healedIn.Load()).Round(time.Millisecond), time.Duration(t.settledIn.Load()).Round(time.Millisecond), t.lastToAgree,
		float64(t.heap.Load())/(1<<20), t.goroutines.Load(), t.coderConns.Load())
}
