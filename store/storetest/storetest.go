// Package storetest gives each test a real PostgreSQL database of its own: one
// server per test binary, one database per test, cloned from a template that has
// Supabase's minimum and all migrations.
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
// TEST_DATABASE_URL names a server to use instead, by a role that may create
// databases, roles and all that Supabase's superuser may.
package storetest

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// rolePassword lets the roles log in at a server that asks for one.
const rolePassword = "throwaway"

// DB is a test's own database. It is dropped when the test has ended.
type DB struct {
	URL  string // as superuser
	pool *pgxpool.Pool
}

// New returns a database that looks like a Supabase project with coderhook's
// migrations, which its product's admin has applied.
func New(t testing.TB) *DB {
	t.Helper()
	s := running(t)
	return s.clone(t, s.template)
}

// Bare returns a database that looks like a new Supabase project, without migrations.
func Bare(t testing.TB) *DB {
	t.Helper()
	db := Empty(t)
	if err := pgserver.PrepareSupabase(t.Context(), db.URL); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	return db
}

// Empty returns a plain PostgreSQL database.
func Empty(t testing.TB) *DB {
	t.Helper()
	return running(t).clone(t, "template0")
}

// RoleURL is the database's URL for another role: coderhook,
// [pgserver.ProductAdmin], authenticated and so on.
func (db *DB) RoleURL(role string) string { return as(db.URL, role) }

// Store opens the database as the least-privileged role coderhook, and closes
// the store when the test has ended.
func (db *DB) Store(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, store.Config{URL: db.RoleURL("coderhook")})
}

// Open opens a store and closes it when the test has ended.
func Open(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// AddUser creates a committed Supabase user. An empty email makes a user without one.
func (db *DB) AddUser(t testing.TB, email string) uuid.UUID {
	t.Helper()
	id := uuid.New()
	db.Exec(t, `insert into auth.users (id, email, is_anonymous) values ($1, nullif($2, ''), $2 = '')`, id, email)
	return id
}

// Exec runs a statement as superuser.
func (db *DB) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := db.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%v, in:\n%s", err, sql)
	}
}

// Run runs several statements as superuser, for a test that is not a testing.TB.
func (db *DB) Run(sql string) error { return RunScript(context.Background(), db.URL, sql) }

// Script runs several statements as superuser.
func (db *DB) Script(t testing.TB, sql string) {
	t.Helper()
	if err := RunScript(t.Context(), db.URL, sql); err != nil {
		t.Fatalf("%v, in:\n%s", err, sql)
	}
}

// Begin opens a transaction as superuser on a connection of its own, as
// Supabase Auth does for a sign-in. It is rolled back when the test has ended.
func (db *DB) Begin(t testing.TB) *Tx {
	t.Helper()
	tx := &Tx{conn: connect(t, db.URL)}
	tx.Exec(t, "begin")
	return tx
}

// Tx is an open transaction of somebody else.
type Tx struct{ conn *pgx.Conn }

// Exec runs a statement in it; "commit" and "rollback" are statements too.
func (tx *Tx) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := tx.conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%v, in:\n%s", err, sql)
	}
}

// TryQuery returns the single column of a query in it as text, or why there is none.
func (tx *Tx) TryQuery(t testing.TB, sql string) ([]string, error) {
	t.Helper()
	rows, err := tx.conn.Query(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		return string(row.RawValues()[0]), nil
	})
}

// TxQuery returns the single column of a query in it.
func TxQuery[T any](t testing.TB, tx *Tx, sql string) []T {
	t.Helper()
	rows, err := tx.conn.Query(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatalf("%v, in:\n%s", err, sql)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%v, in:\n%s", err, sql)
	}
	return values
}

// Query returns the single value of a query, run as superuser.
func Query[T any](t testing.TB, db *DB, sql string, args ...any) T {
	t.Helper()
	values := QueryAll[T](t, db, sql, args...)
	if len(values) != 1 {
		t.Fatalf("%d rows, want one, of:\n%s", len(values), sql)
	}
	return values[0]
}

// QueryAll returns the single column of a query, run as superuser.
func QueryAll[T any](t testing.TB, db *DB, sql string, args ...any) []T {
	t.Helper()
	rows, err := db.pool.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%v, in:\n%s", err, sql)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%v, in:\n%s", err, sql)
	}
	return values
}

// RunScript runs several statements in one implicit transaction, as `supabase db
// push` does with a file.
func RunScript(ctx context.Context, databaseURL, sql string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

func connect(t testing.TB, databaseURL string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// as changes the role of a URL.
func as(databaseURL, role string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		panic(fmt.Sprintf("storetest: own URL is malformed: %v", err))
	}
	u.User = url.UserPassword(role, rolePassword)
	return u.String()
}

// in changes the database of a URL.
func in(databaseURL, database string) (string, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return "", err
	}
	u.Path = "/" + database
	return u.String(), nil
}
