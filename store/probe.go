package store

import (
	"context"
	"time"
)

const (
	// probePause is between two tries to get more connections than the server granted; it doubles.
	probePause     = time.Second
	longProbePause = 15 * time.Second
	probeTimeout   = 5 * time.Second
	// quiet is how long nobody needs more than there are, before it is forgotten that there are few.
	quiet = time.Minute
)

// probe finds out when the server grants more connections than it did, so that no sign-in has to.
func (s *Store) probe() {
	needed := time.Now()
	for pause := probePause; !s.gate.probed() && sleep(s.closing, pause); {
		switch {
		case s.pool.Stat().IdleConns() == 0:
			needed = time.Now()
			pause = pauseAfter(s.grow(), pause)
		case time.Since(needed) > quiet:
			s.widen(s.gate.most)
		}
	}
}

func pauseAfter(err error, pause time.Duration) time.Duration {
	if err == nil {
		return probePause / 10
	}
	return min(max(2*pause, probePause), longProbePause)
}

// grow adds a connection to the pool, or borrows one for a moment.
func (s *Store) grow() error {
	ctx, cancel := context.WithTimeout(s.closing, probeTimeout)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err == nil {
		conn.Release()
	}
	return err
}

// narrow: the server grants no more than these.
func (s *Store) narrow(open int) {
	s.gate.narrow(open)
	s.writers.narrow(open / writerShare)
}

// widen: there are at least these.
func (s *Store) widen(open int) {
	s.gate.widen(open)
	s.writers.widen(open / writerShare)
}
