package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// setupTimeout bounds what is outside of a test's own time: starting the server,
// which may mean to download one, and dropping databases.
const setupTimeout = 5 * time.Minute

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

// Main runs a package's tests, stops the server that they used, and exits.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for a TestMain that has more to do: it returns the exit status.
func Run(m *testing.M) int {
	shared.inMain = true
	code := m.Run()
	if shared.server != nil {
		if err := shared.server.close(); err != nil {
			fmt.Fprintln(os.Stderr, "storetest: stop server:", err)
			code = max(code, 1)
		}
	}
	return code
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

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
