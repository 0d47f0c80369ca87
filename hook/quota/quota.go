// Package quota limits what each user of the gateway, and all of them together, may have running and ask for. The limits
// hold for a replica: replicas do not know of each other's calls.
package quota

import (
	"cmp"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"
)

// retryPause is when to come back where nobody knows how long it takes.
const retryPause = 5 * time.Second

// Limits are for each user; what is beyond is answered with 429. Beyond All, which is for everybody together, it is 503.
type Limits struct {
	PerMinute int // requests; default 600, of which a sixth at once
	Running   int // requests at the same time, sockets included; default 64
	Sockets   int // WebSockets at the same time; default 32
	All       int // requests and sockets of all users at the same time; default 4,096
}

// WithDefaults has the default for each that is zero.
func (l Limits) WithDefaults() Limits {
	return Limits{
		PerMinute: cmp.Or(l.PerMinute, 600), Running: cmp.Or(l.Running, 64), Sockets: cmp.Or(l.Sockets, 32), All: cmp.Or(l.All, 4096),
	}
}

// Users counts what each user has open and asks for. Its zero value is ready.
type Users struct {
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

// Full is why a call is not let in.
type Full struct {
	Rule    string
	Shared  bool          // the limit is that of all users together
	After   time.Duration // when to come back
	Message string
}

// Enter lets a call in, or says when to come back. What it returns must be called when the call is over.
func (u *Users) Enter(user uuid.UUID, socket bool, l Limits, now time.Time) (leave func(), _ *Full) {
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.of(user, l, now)
	reserved := of.limiter.ReserveN(now, 1)
	wait := reserved.DelayFrom(now)
	switch {
	case wait > 0:
		reserved.CancelAt(now) // who keeps knocking is not kept out for longer
		return nil, &Full{"rate", false, wait, "too many requests for this user"}
	case of.running >= l.Running:
		return nil, &Full{"running", false, time.Second, "too many requests of this user at the same time"}
	case socket && of.sockets >= l.Sockets:
		return nil, &Full{"sockets", false, retryPause, "too many WebSockets of this user at the same time"}
	case u.running >= l.All: // each takes two file descriptors of a server on which sign-ins depend
		return nil, &Full{"full", true, retryPause, "too many requests and WebSockets at the same time: try again in a few seconds"}
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

// Open is how many calls of all users there are.
func (u *Users) Open() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.running
}

func (u *Users) of(user uuid.UUID, l Limits, now time.Time) *usage {
	u.sweep(now, l)
	of, known := u.all[user]
	if !known {
		of = &usage{limiter: rate.NewLimiter(rate.Limit(float64(l.PerMinute)/60), max(1, l.PerMinute/6))}
		u.all[user] = of
	}
	return of
}

// sweep drops users who have nothing open, and have not called for so long that they may do all they might at first.
func (u *Users) sweep(now time.Time, l Limits) {
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

// MayAudit reports whether a refusal is to be noted.
func (u *Users) MayAudit(user uuid.UUID, rule string, now time.Time) bool {
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
