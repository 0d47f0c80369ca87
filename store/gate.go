package store

import (
	"context"
	"slices"
	"sync"
)

// gate lets only so many calls at the pool as there are connections to be had. Left to itself, the
// pool makes a new connection whenever none is idle, and fails with it, though one would be idle soon.
type gate struct {
	most  int    // connections that the pool wants
	probe func() // starts finding out when the server grants more again

	mu      sync.Mutex
	limit   int // that there are: less than most once the server refused one
	inside  int
	waiting []chan struct{} // first come, first served; closed to let in
	waits   int64
	probing bool
}

func newGate(most int, probe func()) *gate { return &gate{most: most, probe: probe, limit: most} }

// enter waits until there is a connection for the caller, who leaves.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.inside < g.limit {
		g.inside++
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.waits++
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		g.giveUp(turn)
		return ctx.Err()
	}
}

// giveUp takes a caller out of the line, who may just have been let in.
func (g *gate) giveUp(turn chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, turn); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		return
	}
	g.inside--
	g.letIn()
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.letIn()
}

func (g *gate) letIn() {
	for g.inside < g.limit && len(g.waiting) > 0 {
		close(g.waiting[0])
		g.waiting = slices.Delete(g.waiting, 0, 1)
		g.inside++
	}
}

// narrow: the server grants no more than these.
func (g *gate) narrow(open int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = max(1, min(g.limit, open))
	if g.limit < g.most && !g.probing {
		g.probing = true
		g.probe()
	}
}

// stopProbing keeps probes from being started.
func (g *gate) stopProbing() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = true
}

// widen: there are at least these.
func (g *gate) widen(open int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = max(g.limit, min(open, g.most))
	g.letIn()
}

// probed reports whether there is nothing left to find out.
func (g *gate) probed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limit < g.most {
		return false
	}
	g.probing = false
	return true
}

func (g *gate) waited() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waits
}

func (g *gate) granted() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limit
}
