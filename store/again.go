package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// firstPause is before a new connection is asked for once more by the same call; it doubles.
	firstPause = 5 * time.Millisecond
	longPause  = 200 * time.Millisecond
	// grace is how long a server that answers but lets nobody in is waited for: a password that is
	// being changed, sessions that are about to end, a restart. After that, sign-ins are not slowed down any more.
	grace = 2 * time.Second
)

// statement is what is done with a connection.
type statement = func(ctx context.Context, conn *pgxpool.Conn) error

// again calls f, and calls it again, within ctx, for as long as an error gives hope. All our
// statements can be repeated: a lease's owner who claims, extends or writes twice changes nothing.
func (s *Store) again(ctx context.Context, f statement) error {
	r := repetition{store: s, resets: s.resets.count.Load()}
	err := s.once(ctx, f)
	for err != nil && ctx.Err() == nil && r.allows(ctx, err) {
		if entered := s.gate.enter(ctx); entered != nil {
			return fmt.Errorf("wait for a connection: %w, after: %w", entered, err)
		}
		err = s.inside(ctx, f)
	}
	if err == nil && r.outdated {
		s.resets.helped()
	}
	return err
}

func (s *Store) once(ctx context.Context, f statement) error {
	if err := s.gate.enter(ctx); err != nil {
		return fmt.Errorf("wait for a connection: %w", err)
	}
	return s.inside(ctx, f)
}

func (s *Store) inside(ctx context.Context, f statement) error {
	defer s.gate.leave()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer s.giveBack(conn)
	return s.heard(ctx, conn, f)
}

// giveBack takes a dead connection out of the pool at once. Released, it would keep its place there until the peer has
// closed it too, for which pgx waits up to 15 seconds.
func (s *Store) giveBack(conn *pgxpool.Conn) {
	if !conn.Conn().IsClosed() {
		conn.Release()
		return
	}
	s.beforeClose(conn.Hijack())
}

// repetition is what one call has met.
type repetition struct {
	store      *Store
	resets     int64 // of the pool, when the call began
	lives      int   // connections that may be found dead, once the first was
	unprepared int
	outdated   bool
	targets    int // others that were tried
	pause      time.Duration
}

// allows reports whether the statement is to be run once more, and waits until it may be.
func (r *repetition) allows(ctx context.Context, err error) bool {
	s := r.store
	switch judge(err) {
	case dead:
		return r.another()
	case unprepared:
		s.unprepared.Store(true)
		s.resets.force()
		r.unprepared++
		return r.unprepared < 3
	case outdated:
		first := !r.outdated
		r.outdated = true
		return first && s.resets.since(r.resets)
	case refused:
		return r.wait(ctx, err)
	}
	return false
}

// another reports whether to try one more connection: all that the pool has may be dead as well, also those that are in use
// now, and after them it makes a new one.
func (r *repetition) another() bool {
	if r.lives == 0 {
		r.lives = int(r.store.pool.Stat().TotalConns()) + 3
	}
	r.lives--
	return r.lives > 0
}

// wait is for a new connection that the server refused: again then waits at the gate for one of those that are open.
func (r *repetition) wait(ctx context.Context, err error) bool {
	s := r.store
	s.refusals.Add(1)
	if r.targets < 2 && s.otherTarget(err) {
		r.targets++
		return true
	}
	if open := int(s.open.Load()); open > 0 {
		s.shut.Store(0)
		s.narrow(open)
		return r.rest(ctx, false)
	}
	s.widen(s.gate.most) // nobody knows how many there will be
	return s.hope(err) && r.rest(ctx, true)
}

// rest keeps a call from asking for one new connection after the other.
func (r *repetition) rest(ctx context.Context, now bool) bool {
	if r.pause == 0 {
		r.pause = firstPause
		if !now {
			return true
		}
	}
	defer func() { r.pause = min(2*r.pause, longPause) }()
	return sleep(ctx, r.pause)
}

// sleep reports whether ctx lasted for so long.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
