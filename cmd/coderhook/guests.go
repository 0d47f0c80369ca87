package main

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// When connections run out, one of them has to be closed.
const (
	guestPatience = 250 * time.Millisecond // none is closed that came or was heard of since: it may be a sign-in
	roomLook      = 5 * time.Millisecond   // how often we look whether somebody may go
	crowdedIdle   = 15 * time.Second       // how long one may be idle while more than half of the connections are taken
	sweepInterval = time.Second
)

// guests are the connections of a port. When there are too many, the one goes that was not heard of for longest,
// strangers before those that have carried a signed request or a good token; never one that carries such a request now.
type guests struct {
	limit   int
	idle    time.Duration // crowdedIdle
	evicted atomic.Int64

	mu        sync.Mutex
	all       map[*guest]bool
	busy      int       // accepted, and not idle since
	strangers list.List // of *guest, least recently heard of first
	proven    list.List // likewise, without those at work
	sweeping  bool
}

// guest is a connection.
type guest struct {
	net.Conn
	of     *guests
	busy   bool
	proven bool          // it has carried a request that was proven
	work   int           // such requests that are not answered
	heard  time.Time     // when its state changed last
	place  *list.Element // in one of the lists; nil while it works
}

func newGuests(limit int) *guests {
	return &guests{limit: limit, idle: crowdedIdle, all: make(map[*guest]bool)}
}

// join makes room for a connection if there is none, and waits if nobody may go.
func (g *guests) join(conn net.Conn) *guest {
	joined := &guest{Conn: conn, of: g, busy: true}
	for !g.tryJoin(joined) {
		time.Sleep(roomLook)
	}
	return joined
}

func (g *guests) tryJoin(c *guest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.all) >= g.limit && !g.evict() {
		return false
	}
	g.all[c] = true
	g.busy++
	c.rank()
	if len(g.all) > g.limit/2 && !g.sweeping {
		g.sweeping = true
		time.AfterFunc(sweepInterval, g.sweep)
	}
	return true
}

// evict closes one, if one may go. Strangers have at least a quarter of the connections: of those that come, the next
// sign-in is one at first.
func (g *guests) evict() bool {
	from := []*list.List{&g.strangers}
	if g.strangers.Len() < g.limit/4 {
		from = append(from, &g.proven)
	}
	for _, candidates := range from {
		if first := candidates.Front(); first != nil && time.Since(first.Value.(*guest).heard) >= guestPatience {
			first.Value.(*guest).evict()
			return true
		}
	}
	return false
}

// sweep closes those that are idle for too long while more than half of the connections are taken.
func (g *guests) sweep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, candidates := range []*list.List{&g.strangers, &g.proven} {
		for place := candidates.Front(); place != nil && len(g.all) > g.limit/2; {
			c := place.Value.(*guest)
			if place = place.Next(); !c.busy && time.Since(c.heard) >= g.idle {
				c.evict()
			}
		}
	}
	if g.sweeping = len(g.all) > g.limit/2; g.sweeping {
		time.AfterFunc(sweepInterval, g.sweep)
	}
}

func (g *guests) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.all)
}

func (g *guests) isBusy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy > 0
}

// rank puts it where it belongs: behind all that were heard of before.
func (c *guest) rank() {
	c.unrank()
	c.heard = time.Now()
	switch {
	case c.work > 0 || !c.of.all[c]:
	case c.proven:
		c.place = c.of.proven.PushBack(c)
	default:
		c.place = c.of.strangers.PushBack(c)
	}
}

func (c *guest) unrank() {
	if c.place == nil {
		return
	}
	// It is in one of the two; the other list ignores it.
	c.of.strangers.Remove(c.place)
	c.of.proven.Remove(c.place)
	c.place = nil
}

// evict closes it at once. What its client has not read of an answer is dropped, as that could take long.
func (c *guest) evict() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.busy {
		_ = tcp.SetLinger(0)
	}
	c.of.evicted.Add(1)
	c.leave()
	_ = c.Conn.Close()
}

func (c *guest) leave() {
	c.unrank()
	c.setBusy(false)
	delete(c.of.all, c)
}

func (c *guest) setBusy(busy bool) {
	if c.busy && !busy && c.of.all[c] {
		c.of.busy--
	}
	if !c.busy && busy && c.of.all[c] {
		c.of.busy++
	}
	c.busy = busy
}

// Close leaves room for another.
func (c *guest) Close() error {
	c.of.mu.Lock()
	c.leave()
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// prove notes a request that was proven; what it returns is called when that is answered.
func (c *guest) prove() (answered func()) {
	c.working(+1)
	return func() { c.working(-1) }
}

func (c *guest) working(more int) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.proven = true
	c.work += more
	c.rank()
}

// connState follows the server.
func (g *guests) connState(conn net.Conn, state http.ConnState) {
	c := guestOf(conn)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch state {
	case http.StateNew, http.StateActive:
		c.setBusy(true)
		c.rank()
	case http.StateIdle:
		c.setBusy(false)
		c.rank()
	default:
		c.leave()
	}
}

// guestOf finds the guest under TLS.
func guestOf(conn net.Conn) *guest {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	return conn.(*guest)
}
