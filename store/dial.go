package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// target is where to connect and as whom, as a URL says it.
type target struct {
	url      string
	conn     *pgx.ConnConfig
	mistaken atomic.Bool // the server did not take its password
}

// newTarget makes the target that the URL of cfg names, and the settings of a pool of such connections.
func (s *Store) newTarget(cfg Config) (*target, *pgxpool.Config, error) {
	pool, err := cfg.pool()
	if err != nil {
		return nil, nil, err
	}
	t := &target{url: cfg.URL, conn: pool.ConnConfig}
	t.conn.AfterConnect = func(context.Context, *pgconn.PgConn) error {
		s.proven.Store(t)
		return nil
	}
	return t, pool, nil
}

// current is the target of now. It is the old one as long as there is no better, with what is wrong.
func (s *Store) current() (*target, error) {
	s.targeting.Lock()
	defer s.targeting.Unlock()
	if s.cfg.Reread == nil {
		return s.target, nil
	}
	url, err := s.cfg.Reread()
	if err != nil || url == s.target.url {
		return s.target, err
	}
	cfg := s.cfg
	cfg.URL = url
	t, _, err := s.newTarget(cfg)
	if err != nil {
		return s.target, err
	}
	s.target = t
	return t, nil
}

// beforeConnect lets a new connection go where the URL points to now. One whose password was not
// taken may be early: what worked before then has its turn.
func (s *Store) beforeConnect(_ context.Context, cfg *pgx.ConnConfig) error {
	t, _ := s.current() // what is wrong with it is for Renew to say
	if proven := s.proven.Load(); proven != nil && t.mistaken.CompareAndSwap(true, false) {
		t = proven
	}
	*cfg = *t.conn.Copy()
	if s.unprepared.Load() {
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	return nil
}

// afterConnect counts, as beforeClose does.
func (s *Store) afterConnect(context.Context, *pgx.Conn) error {
	s.shut.Store(0)
	s.widen(int(s.open.Add(1)))
	return nil
}

func (s *Store) beforeClose(*pgx.Conn) { s.open.Add(-1) }

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

// hope reports whether a server that refused the only connection may take one in a moment.
func (s *Store) hope(err error) bool {
	if state := sqlState(err); state == "" || state == invalidCatalogName {
		return false // it can't be reached, or that will not change
	}
	now := time.Now()
	s.shut.CompareAndSwap(0, now.UnixNano())
	return now.UnixNano()-s.shut.Load() < int64(grace)
}

// otherCredentials reports whether there is another password to be tried, after the server did not take one.
func (s *Store) otherCredentials(err error) bool {
	if sqlState(err) != invalidPassword {
		return false
	}
	before := s.used()
	now, _ := s.current()
	if now != before {
		return true // it was written meanwhile
	}
	proven := s.proven.Load()
	return proven != nil && proven != now && now.mistaken.CompareAndSwap(false, true)
}

func (s *Store) used() *target {
	s.targeting.Lock()
	defer s.targeting.Unlock()
	return s.target
}

// Renew reads the URL again. If it is another one and a connection can be had with it, all others
// are replaced. Until then they are used as they are.
func (s *Store) Renew(ctx context.Context) (renewed bool, err error) {
	t, err := s.current()
	if err != nil {
		return false, fmt.Errorf("read database URL again: %w", err)
	}
	s.targeting.Lock()
	known := t == s.filled
	s.targeting.Unlock()
	if known {
		return false, nil
	}
	if s.proven.Load() != t {
		conn, err := pgx.ConnectConfig(ctx, t.conn.Copy())
		if err != nil {
			return false, fmt.Errorf("connect with the new database URL: %w", err)
		}
		if err := conn.Close(ctx); err != nil {
			return false, errors.Join(err, ctx.Err())
		}
	}
	s.targeting.Lock()
	s.filled = t
	s.targeting.Unlock()
	s.resets.force()
	return true, nil
}

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
			pause = pauseAfter(s.another(), pause)
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

// another adds a connection to the pool, or borrows one for a moment.
func (s *Store) another() error {
	ctx, cancel := context.WithTimeout(s.closing, probeTimeout)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err == nil {
		conn.Release()
	}
	return err
}
