package listen

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
	minSilence    = 250 * time.Millisecond // none is closed that came or was heard of since: it may be a sign-in
	roomLook      = 5 * time.Millisecond   // how often we look whether one may be closed
	crowdedIdle   = 15 * time.Second       // how long one may be idle while more than half of the connections are taken
	sweepInterval = time.Second
)

// pool holds the connections of a port. When there are too many, the one is closed that was not heard of for longest,
// strangers before those that have carried a signed request or a good token; never one that carries such a request now.
type pool struct {
	limit   int
	idle    time.Duration // crowdedIdle
	evicted atomic.Int64

	mu        sync.Mutex
	all       map[*connection]bool
	busy      int       // accepted, and not idle since
	strangers list.List // of *connection, least recently heard of first
	proven    list.List // likewise, without those at work
	sweeping  bool
}

// connection belongs to a pool.
type connection struct {
	net.Conn
	of     *pool
	busy   bool
	proven bool          // it has carried a request that was proven
	work   int           // such requests that are not answered
	heard  time.Time     // when its state changed last
	place  *list.Element // in one of the lists; nil while it works
}

func newPool(limit int) *pool {
	return &pool{limit: limit, idle: crowdedIdle, all: make(map[*connection]bool)}
}

// join makes room for a connection if there is none, and waits while none may be closed.
func (p *pool) join(conn net.Conn) *connection {
	joined := &connection{Conn: conn, of: p, busy: true}
	for !p.tryJoin(joined) {
		time.Sleep(roomLook)
	}
	return joined
}

func (p *pool) tryJoin(c *connection) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) >= p.limit && !p.evict() {
		return false
	}
	p.all[c] = true
	p.busy++
	c.rank()
	if len(p.all) > p.limit/2 && !p.sweeping {
		p.sweeping = true
		time.AfterFunc(sweepInterval, p.sweep)
	}
	return true
}

// evict closes one, if one may be closed. Strangers have at least a quarter of the connections: of those that come, the next
// sign-in is one at first.
func (p *pool) evict() bool {
	from := []*list.List{&p.strangers}
	if p.strangers.Len() < p.limit/4 {
		from = append(from, &p.proven)
	}
	for _, candidates := range from {
		if first := candidates.Front(); first != nil && time.Since(first.Value.(*connection).heard) >= minSilence {
			first.Value.(*connection).evict()
			return true
		}
	}
	return false
}

// sweep closes those that are idle for too long while more than half of the connections are taken.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, candidates := range []*list.List{&p.strangers, &p.proven} {
		for place := candidates.Front(); place != nil && len(p.all) > p.limit/2; {
			c := place.Value.(*connection)
			if place = place.Next(); !c.busy && time.Since(c.heard) >= p.idle {
				c.evict()
			}
		}
	}
	if p.sweeping = len(p.all) > p.limit/2; p.sweeping {
		time.AfterFunc(sweepInterval, p.sweep)
	}
}

func (p *pool) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all)
}

func (p *pool) isBusy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy > 0
}

// rank puts it where it belongs in its list: behind all that were heard of before.
func (c *connection) rank() {
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

func (c *connection) unrank() {
	if c.place == nil {
		return
	}
	// It is in one of the two; the other list ignores it.
	c.of.strangers.Remove(c.place)
	c.of.proven.Remove(c.place)
	c.place = nil
}

// evict closes it at once. What its client has not read of an answer is dropped, as that could take long.
func (c *connection) evict() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.busy {
		_ = tcp.SetLinger(0)
	}
	c.of.evicted.Add(1)
	c.leave()
	_ = c.Conn.Close()
}

func (c *connection) leave() {
	c.unrank()
	c.setBusy(false)
	delete(c.of.all, c)
}

func (c *connection) setBusy(busy bool) {
	if c.busy && !busy && c.of.all[c] {
		c.of.busy--
	}
	if !c.busy && busy && c.of.all[c] {
		c.of.busy++
	}
	c.busy = busy
}

// Close leaves room for another.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.leave()
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// prove notes a request that was proven; what it returns is called when that is answered.
func (c *connection) prove() (answered func()) {
	c.working(+1)
	return func() { c.working(-1) }
}

func (c *connection) working(more int) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.proven = true
	c.work += more
	c.rank()
}

// connState follows what http.Server does with the connection.
func (p *pool) connState(conn net.Conn, state http.ConnState) {
	c := connectionOf(conn)
	p.mu.Lock()
	defer p.mu.Unlock()
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

// connectionOf finds the connection under TLS.
func connectionOf(conn net.Conn) *connection {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	return conn.(*connection)
}
