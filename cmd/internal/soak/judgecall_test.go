package soak

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"time"
)

// judgeBroken: a connection is refused or reset where no server listens any more. Under a request
// it ends only with its server.
func (a *auth) judgeBroken(began time.Time, reached *life, err error) {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled): // judged as a whole
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), reached == nil:
		a.tally.refused.Add(1)
	case reached.wasKilled():
		a.tally.broken.Add(1)
	default:
		a.breach("after %s the connection broke under a request: %v", time.Since(began), err)
	}
}

// allowance is for a machine that is shared with the load and with others.
const allowance = time.Second

// judgeCall checks that a living server has answered, and in time.
func (a *auth) judgeCall(who string, c call) (answered bool) {
	stalled := a.stalls.between(c.began, c.ended)
	switch {
	case c.err == nil && c.status != http.StatusOK:
		a.breach("%s: status %d: %s", who, c.status, c.body)
		return false
	case c.err == nil:
		a.tally.answered(c.took)
		if c.took > deadline+allowance+stalled {
			a.breach("%s: the answer took %s; the machine stood still for %s of it", who, c.took, stalled)
		}
		return true
	case a.killedUnder(c):
		a.tally.killed.Add(1)
	case a.nobodyUp(c.began, c.ended):
		a.tally.down.Add(1)
	case stalled > allowance:
		a.tally.stalled.Add(1)
	default:
		a.breach("%s: the sign-in failed after %s and %d attempts, though a server was up: %v", who, c.ended.Sub(c.began), c.tried, c.err)
	}
	return false
}

func (a *auth) killedUnder(c call) bool {
	for _, l := range c.reached {
		if l.wasKilled() {
			return true
		}
	}
	return false
}

// nobodyUp: at some time between the two every replica was down.
func (a *auth) nobodyUp(from, to time.Time) bool {
	for _, down := range a.replicas[0].downs.during(from, to) {
		end := down.to
		if end.IsZero() || end.After(to) {
			end = to
		}
		begin := down.from
		if begin.Before(from) {
			begin = from
		}
		if len(a.replicas[1].downs.during(begin, end)) > 0 {
			return true
		}
	}
	return false
}
