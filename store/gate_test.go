package store

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// However many come and go, and give up while they wait: no more are inside than may be, and the
// gate is empty in the end.
func TestGate(t *testing.T) {
	t.Parallel()
	probes := 0
	g := newGate(10, func() { probes++ })
	g.narrow(3)
	g.narrow(7)
	g.narrow(0)
	if probes != 1 || g.granted() != 1 {
		t.Fatalf("%d probes, %d granted", probes, g.granted())
	}
	g.widen(3)
	var inside, most atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(20))*time.Millisecond)
			defer cancel()
			if rand.IntN(2) == 0 {
				ctx = t.Context()
			}
			if g.enter(ctx) != nil {
				return
			}
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			<-time.After(time.Duration(rand.IntN(1000)) * time.Microsecond)
			inside.Add(-1)
			g.leave()
		})
	}
	all.Wait()
	if g.inside != 0 || len(g.waiting) != 0 || most.Load() > 3 || g.waited() == 0 {
		t.Errorf("%d inside, %d wait, %d at a time", g.inside, len(g.waiting), most.Load())
	}
	if g.widen(20); g.granted() != 10 || !g.probed() {
		t.Errorf("%d granted", g.granted())
	}
}
