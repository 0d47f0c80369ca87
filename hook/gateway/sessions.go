package gateway

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"coderhook/hook/accesstoken"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
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

// Limits are for each user; what is beyond is answered with 429. Beyond All, which is for everybody together, it is 503.
type Limits struct {
	PerMinute int // requests; default 600, of which a sixth at once
	Running   int // requests at the same time, sockets included; default 64
	Sockets   int // WebSockets at the same time; default 32
	All       int // requests and sockets of all users at the same time; default 4,096
}

func (l Limits) withDefaults() Limits {
	return Limits{
		PerMinute: orDefault(l.PerMinute, 600), Running: orDefault(l.Running, 64), Sockets: orDefault(l.Sockets, 32), All: orDefault(l.All, 4096),
	}
}

// users counts what each user has open and asks for. Its zero value is ready.
type users struct {
	mu      sync.Mutex
	all     map[uuid.UUID]*usage
	running int // of all of them
	swept   time.Time
}

type usage struct {
	limiter          *rate.Limiter
	running, sockets int
	audited          map[string]time.Time // rules, by when a refusal was noted last
}

// enter lets a call in, or says when to come back. What it returns must be called when the call is over.
func (u *users) enter(user uuid.UUID, socket bool, l Limits, now time.Time) (func(), *Refusal) {
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.of(user, l, now)
	reserved := of.limiter.ReserveN(now, 1)
	wait := reserved.DelayFrom(now)
	switch {
	case wait > 0:
		reserved.CancelAt(now) // who keeps knocking is not kept out for longer
		return nil, later(http.StatusTooManyRequests, "rate", wait, "too many requests for this user")
	case of.running >= l.Running:
		return nil, later(http.StatusTooManyRequests, "running", time.Second, "too many requests of this user at the same time")
	case socket && of.sockets >= l.Sockets:
		return nil, later(http.StatusTooManyRequests, "sockets", accesstoken.RetryPause, "too many WebSockets of this user at the same time")
	case u.running >= l.All: // each takes two file descriptors of a server on which sign-ins depend
		return nil, later(http.StatusServiceUnavailable, "full", accesstoken.RetryPause, "too many requests and WebSockets at the same time: try again in a few seconds")
	}
	n := 0
	if socket {
		n = 1
	}
	u.running, of.running, of.sockets = u.running+1, of.running+1, of.sockets+n
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.running, of.running, of.sockets = u.running-1, of.running-1, of.sockets-n
	}, nil
}

// open is how many calls of all users there are.
func (u *users) open() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.running
}

func (u *users) of(user uuid.UUID, l Limits, now time.Time) *usage {
	u.sweep(now, l)
	of, known := u.all[user]
	if !known {
		of = &usage{limiter: rate.NewLimiter(rate.Limit(float64(l.PerMinute)/60), max(1, l.PerMinute/6))}
		u.all[user] = of
	}
	return of
}

// sweep drops users who have nothing open, and have not called for so long that they may do all they might at first.
func (u *users) sweep(now time.Time, l Limits) {
	if u.all != nil && now.Sub(u.swept) < time.Minute {
		return
	}
	u.swept = now
	kept := map[uuid.UUID]*usage{}
	for user, of := range u.all {
		if of.running > 0 || of.limiter.TokensAt(now) < float64(max(1, l.PerMinute/6)) {
			kept[user] = of
		}
	}
	u.all = kept
}

// auditPause is between two rows about the same user and rule: whoever keeps trying fills no table.
const auditPause = time.Minute

// mayAudit reports whether a refusal is to be noted.
func (u *users) mayAudit(user uuid.UUID, rule string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	of, known := u.all[user]
	if !known || now.Sub(of.audited[rule]) < auditPause {
		return false
	}
	if of.audited == nil {
		of.audited = map[string]time.Time{}
	}
	of.audited[rule] = now
	return true
}
