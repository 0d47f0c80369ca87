package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// target is where to connect and as whom, as a URL says it.
type target struct {
	url      string
	conn     *pgx.ConnConfig
	mistaken atomic.Int64 // until when what worked before is used instead, in Unix nanoseconds
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

// doubt is how long the URL that worked before is used, after a new one did not work.
const doubt = time.Second

// beforeConnect lets a new connection go where the URL points to now. One that did not work may be early.
func (s *Store) beforeConnect(_ context.Context, cfg *pgx.ConnConfig) error {
	t, _ := s.current() // what is wrong with it is for Renew to say
	if proven := s.proven.Load(); proven != nil && time.Now().UnixNano() < t.mistaken.Load() {
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

// hope reports whether a server that refused the only connection may take one in a moment: within grace of the
// first that it refused. One that has never been reached is not restarting.
func (s *Store) hope(err error) bool {
	if state := sqlState(err); state == "" && (s.proven.Load() == nil || !restarting(err)) || state == invalidCatalogName {
		return false // it can't be reached, or that will not change
	}
	now := time.Now()
	s.shut.CompareAndSwap(0, now.UnixNano())
	return now.UnixNano()-s.shut.Load() < int64(grace)
}

// restarting reports whether the machine answers and the server does not, as while it is being restarted.
func restarting(err error) bool {
	for _, sign := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF, fs.ErrNotExist} {
		if errors.Is(err, sign) { // fs.ErrNotExist: that of a Unix socket
			return true
		}
	}
	return false
}

// otherTarget reports whether there is another target to be tried than the one that failed: the file
// may have been written meanwhile, or be ahead of the database.
func (s *Store) otherTarget(err error) bool {
	failed, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return false
	}
	now, _ := s.current()
	proven := s.proven.Load()
	isNow := now.is(failed.Config)
	if proven == nil || proven == now {
		return !isNow
	}
	now.mistaken.Store(0)
	if isNow {
		now.mistaken.Store(time.Now().Add(doubt).UnixNano())
	}
	return true
}

func (t *target) is(c *pgconn.Config) bool {
	own := t.conn
	return c.Host == own.Host && c.Port == own.Port && c.User == own.User && c.Password == own.Password && c.Database == own.Database
}
