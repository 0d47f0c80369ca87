package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"
)

// setupTimeout bounds what is outside of a test's own time: starting the server,
// which may mean to download one, and dropping databases.
const setupTimeout = 5 * time.Minute

// leaveTimeout is how long a connection that was closed may take to be gone on the server.
const leaveTimeout = 2 * time.Minute

// server is the PostgreSQL of a test binary.
type server struct {
	admin    *pgxpool.Pool // connected to a database that is not a test's
	url      string
	stop     func() error
	template string
}

// shared is this test binary's server, once a test has asked for it.
var shared struct {
	inMain bool
	once   sync.Once
	server *server
	err    error
}

// Main runs a package's tests, stops the server that they used, and exits. A goroutine that is left
// then is a failure.
func Main(m *testing.M) {
	shared.inMain = true
	code := m.Run()
	if err := tidy(code == 0); err != nil {
		fmt.Fprintln(os.Stderr, "storetest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// tidy stops the server. Only where all went well can a goroutine that is left be held against it.
func tidy(passed bool) error {
	if shared.server != nil {
		if err := shared.server.close(); err != nil {
			return fmt.Errorf("stop server: %w", err)
		}
	}
	if !passed {
		return nil
	}
	http.DefaultClient.CloseIdleConnections() // the tests' own
	return goleak.Find()
}

// running returns the server, which the first test that needs it starts.
func running(t testing.TB) *server {
	t.Helper()
	if !shared.inMain {
		t.Fatal("storetest: TestMain must call storetest.Main, which stops the server")
	}
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
		defer cancel()
		shared.server, shared.err = open(ctx)
	})
	if shared.err != nil {
		t.Fatalf("storetest: %v\nOr set TEST_DATABASE_URL to a server's URL.", shared.err)
	}
	return shared.server
}

func open(ctx context.Context) (*server, error) {
	s := &server{url: os.Getenv("TEST_DATABASE_URL"), stop: func() error { return nil }}
	if s.url == "" {
		own, err := pgserver.Start(ctx, pgserver.Options{})
		if err != nil {
			return nil, err
		}
		s.url, s.stop = own.URL("postgres"), own.Stop
	}
	var err error
	if s.admin, err = pgxpool.New(ctx, s.url); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if err := s.makeTemplate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make template database: %w", err), s.close())
	}
	return s, nil
}

// close drops the template, as the server may not be ours, and stops it if it is.
func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	err := s.drop(ctx, s.template)
	s.admin.Close()
	return errors.Join(err, s.stop())
}

// clone makes a database for a test, and drops it when the test has ended.
func (s *server) clone(t testing.TB, template string) *DB {
	t.Helper()
	name, err := s.create(t.Context(), template)
	if err != nil {
		t.Fatalf("storetest: create database: %v", err)
	}
	return s.lend(t, name)
}

// lend gives a database to a test, and drops it when the test has ended.
func (s *server) lend(t testing.TB, name string) *DB {
	t.Helper()
	databaseURL, err := in(s.url, name)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pool.Close()
		ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
		defer cancel()
		if left := s.connected(ctx, name); len(left) > 0 {
			t.Errorf("storetest: connections are left open: %q", left)
		}
		if err := s.drop(ctx, name); err != nil {
			t.Errorf("storetest: drop database: %v", err)
		}
	})
	return &DB{URL: databaseURL, pool: pool}
}

// create makes a database with a name that no other test binary uses.
func (s *server) create(ctx context.Context, template string) (string, error) {
	name := "coderhook_test_" + uuid.NewString()
	_, err := s.admin.Exec(ctx, `create database `+quoted(name)+` template `+quoted(template))
	return name, err
}

func (s *server) drop(ctx context.Context, name string) error {
	_, err := s.admin.Exec(ctx, `drop database if exists `+quoted(name)+` with (force)`)
	return err
}

// leftSQL leaves out PostgreSQL's own workers.
const leftSQL = `
select format('%s (%s) in %s: %s', usename, application_name, state, left(query, 60)) from pg_stat_activity
 where datname = $1 and backend_type = 'client backend'`

// connected lists who is connected to a database and does not leave, as those do who have just been closed.
func (s *server) connected(ctx context.Context, name string) []string {
	timeout := time.After(leaveTimeout)
	for {
		rows, err := s.admin.Query(ctx, leftSQL, name)
		if err != nil {
			return []string{err.Error()}
		}
		left, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return []string{err.Error()}
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-timeout:
			return left
		}
	}
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
