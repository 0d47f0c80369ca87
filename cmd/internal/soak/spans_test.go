package soak

import (
	"sync"
	"testing"
	"time"
)

// span is a stretch of time; a zero end is not known yet.
type span struct{ from, to time.Time }

func (a span) meets(from, to time.Time) bool {
	return !a.from.After(to) && (a.to.IsZero() || !a.to.Before(from))
}

// spans are the times when something was so.
type spans struct {
	mu   sync.Mutex
	list []*span
}

// begin opens a span, which the returned function ends, also in the future.
func (s *spans) begin() (end func(time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := &span{from: time.Now()}
	s.list = append(s.list, one)
	return func(at time.Time) {
		s.mu.Lock()
		defer s.mu.Unlock()
		one.to = at
	}
}

func (s *spans) during(from, to time.Time) (met []span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.list {
		if one.meets(from, to) {
			met = append(met, *one)
		}
	}
	return met
}

// stalls tells how long this machine let nobody work: it is shared, and two seconds that nobody
// had are not the server's.
type stalls struct {
	mu   sync.Mutex
	seen []span
}

const beat = 20 * time.Millisecond

func watchStalls(t *testing.T) *stalls {
	s := new(stalls)
	ticker := time.NewTicker(beat)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); ticker.Stop() })
	go func() {
		for last := time.Now(); ; {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			now := time.Now()
			if now.Sub(last) > 5*beat {
				s.mu.Lock()
				s.seen = append(s.seen, span{last, now})
				s.mu.Unlock()
			}
			last = now
		}
	}()
	return s
}

func (s *stalls) between(from, to time.Time) (sum time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.seen {
		if one.meets(from, to) {
			sum += one.to.Sub(one.from)
		}
	}
	return sum
}
