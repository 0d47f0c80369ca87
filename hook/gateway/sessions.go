package gateway

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// ending is why something that is open ends, as a close frame says it.
type ending struct {
	code   uint16
	reason string
}

// How sockets end that neither side ended. The codes of 3000 and above are registered for just this.
var (
	endRestart = ending{1012, "the server is restarting"}
	endExpired = ending{3000, "the access token has expired: refresh the session"}
	endGone    = ending{3003, "the session has ended"}
	endCoder   = ending{1014, "the connection to Coder was lost"}
)

// errEnded is the cause of a context that an ending cancelled.
var errEnded = errors.New("ended by the gateway")

// openSet is all that is open at the moment.
type openSet struct {
	mu    sync.Mutex
	calls map[*call]struct{}
}

func (o *openSet) add(c *call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls == nil {
		o.calls = map[*call]struct{}{}
	}
	o.calls[c] = struct{}{}
}

func (o *openSet) remove(c *call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.calls, c)
}

func (o *openSet) all() []*call {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]*call, 0, len(o.calls))
	for c := range o.calls {
		list = append(list, c)
	}
	return list
}

// Run ends what is open of sessions that have ended, until ctx does.
func (g *Gateway) Run(ctx context.Context) {
	ticker := time.NewTicker(g.WatchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			g.endExpired()
			g.endGone(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// endExpired ends what would go on for ever: a download may end by itself.
func (g *Gateway) endExpired() {
	now := g.Now()
	for _, c := range g.open.all() {
		if c.endless() && !c.who.Expires.IsZero() && !now.Before(c.who.Expires) {
			c.end(endExpired)
		}
	}
}

// endGone asks who is not let in any more. Where that can't be known, all goes on: Coder still decides about the key.
func (g *Gateway) endGone(ctx context.Context) {
	open := map[Session][]*call{}
	for _, c := range g.open.all() {
		open[c.who.Session] = append(open[c.who.Session], c)
	}
	if g.Sessions == nil || len(open) == 0 {
		return
	}
	list := make([]Session, 0, len(open))
	for session := range open {
		list = append(list, session)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ended, err := g.Sessions.Ended(ctx, list)
	if err != nil {
		g.Log.Warn().Err(err).Msg("gateway: open sessions not checked")
	}
	for _, session := range ended { // also with an error: these are known
		g.keys.forget(session.User)
		g.seen.put(session, true, g.Now(), g.WatchInterval)
		for _, c := range open[session] {
			c.end(endGone)
		}
	}
}

// seenSessions is what was found out of sessions that call at the moment, for as long as one that is open goes on
// without a look. Its zero value is ready.
type seenSessions struct {
	mu    sync.Mutex
	all   map[Session]seenSession
	swept time.Time
	looks singleflight.Group
}

type seenSession struct {
	over  bool
	until time.Time // when to look again
}

func (s *seenSessions) get(session Session, now time.Time) (over, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.all[session]
	return seen.over, now.Before(seen.until)
}

func (s *seenSessions) put(session Session, over bool, now time.Time, keep time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil || now.Sub(s.swept) > time.Minute {
		maps.DeleteFunc(s.all, func(_ Session, seen seenSession) bool { return !now.Before(seen.until) })
		kept := make(map[Session]seenSession, len(s.all)) // a map that was large once stays so
		maps.Copy(kept, s.all)
		s.all, s.swept = kept, now
	}
	s.all[session] = seenSession{over, now.Add(keep)}
}

// lookPatience bounds how long a request waits to know whether its session goes on.
const lookPatience = time.Second

// over reports whether the caller's session has ended, which its token does not tell. One whose token has no session goes
// on with it. Where it can't be known, what was known last counts, and one of which nothing is known goes on, see endGone.
func (c *call) over() bool {
	g, session := c.g, c.who.Session
	if g.Sessions == nil || session.ID == "" {
		return false
	}
	before, known := g.seen.get(session, g.Now())
	if known {
		return before
	}
	over, _, _ := g.seen.looks.Do(session.User.String()+" "+session.ID, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), lookPatience) // others wait for it, too
		defer cancel()
		ended, err := g.Sessions.Ended(ctx, []Session{session})
		over := slices.Contains(ended, session)
		if err != nil {
			g.Log.Warn().Err(err).Stringer("user_id", session.User).Msg("gateway: session not checked")
			over = over || before
		}
		g.seen.put(session, over, g.Now(), g.WatchInterval)
		return over, nil
	})
	return over.(bool)
}

// Drain lets nothing new in, closes WebSockets and streams, waits for the rest, and ends with ctx at the latest.
func (g *Gateway) Drain(ctx context.Context) error {
	g.draining.Store(true)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		left := g.open.all()
		for _, c := range left {
			if c.endless() {
				c.end(endRestart)
			}
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			for _, c := range g.open.all() {
				c.cancel(errEnded)
			}
			return ctx.Err()
		}
	}
}

// Open is how many requests and sockets there are.
func (g *Gateway) Open() int { return len(g.open.all()) }
