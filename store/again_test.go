package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgproto3"
)

// pooler runs a PgBouncer in front of the database, with settings over the usual ones.
func pooler(t *testing.T, db *storetest.DB, settings ...string) string {
	t.Helper()
	p, err := pgserver.StartPooler(t.Context(), db.RoleURL("coderhook"), 6543, settings...)
	if errors.Is(err, pgserver.ErrNoPooler) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, p.Stop()) })
	return p.URL(storetest.Query[string](t, db, `select current_database()`))
}

// setForDatabase changes a setting for all new sessions of the test's database.
func setForDatabase(t *testing.T, db *storetest.DB, setting string) {
	t.Helper()
	name := storetest.Query[string](t, db, `select current_database()`)
	db.Exec(t, fmt.Sprintf(`alter database %q set %s`, name, setting))
}

// sessions is how many the role has open in the test's database.
func sessions(t *testing.T, db *storetest.DB) int {
	t.Helper()
	return storetest.Query[int](t, db,
		`select count(*) from pg_stat_activity where datname = current_database() and usename = 'coderhook' and state = 'idle'`)
}

// keyed are so many users whose key is stored.
func keyed(t *testing.T, db *storetest.DB, s *store.Store, n int) []uuid.UUID {
	t.Helper()
	users := make([]uuid.UUID, n)
	for i := range users {
		users[i] = db.AddUser(t, fmt.Sprintf("%s@example.com", uuid.NewString()))
		db.Exec(t, `insert into public.profiles (id, api_key) values ($1, $2)`, users[i], secret)
	}
	return users
}

// lookAllUp looks all of them up at the same time. None may lose its key.
func lookAllUp(t *testing.T, s *store.Store, users []uuid.UUID) {
	t.Helper()
	var wg sync.WaitGroup
	for _, id := range users {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if account, err := s.Lookup(ctx, id); err != nil || account.APIKey != secret {
				t.Errorf("no key: %v", err)
			}
		})
	}
	wg.Wait()
}

// Whatever ends idle sessions: the next statement is run on another one.
func TestIdleSessionsMayTimeOut(t *testing.T) {
	t.Parallel()
	t.Run("in PostgreSQL", func(t *testing.T) {
		t.Parallel()
		db := storetest.New(t)
		setForDatabase(t, db, `idle_session_timeout = '200ms'`)
		s := storetest.Open(t, store.Config{URL: db.RoleURL("coderhook") + "&pool_min_idle_conns=0"})
		users := keyed(t, db, s, 20)
		for range 2 {
			lookAllUp(t, s, users)
			eventually(t, func() bool { return sessions(t, db) == 0 })
		}
		lookAllUp(t, s, users)
	})
	t.Run("in PgBouncer", func(t *testing.T) {
		t.Parallel()
		db := storetest.New(t)
		l := newProxy(t, pooler(t, db, "client_idle_timeout = 1"))
		s := storetest.Open(t, store.Config{URL: l.url + "&pgbouncer=true&pool_min_idle_conns=0"})
		users := keyed(t, db, s, 20)
		for range 2 {
			lookAllUp(t, s, users)
			eventually(t, func() bool { return l.open() == 0 })
		}
		lookAllUp(t, s, users)
	})
}

// Under load all connections are in use when the first is found dead, and the others are met later.
func TestAllOfThePoolMayBeDead(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := storetest.Open(t, store.Config{URL: db.RoleURL("coderhook") + "&pool_max_conns=6"})
	users := keyed(t, db, s, 6)
	lock := db.Begin(t)
	lock.Exec(t, `lock public.profiles`)
	done := make(chan struct{})
	go func() { lookAllUp(t, s, users); close(done) }()
	eventually(t, func() bool { return waiting(t, db) == 6 })
	if n := store.Repetitions(s); n < 6 {
		t.Errorf("after the first dead connection %d more are tried, of six", n)
	}
	lock.Exec(t, "commit")
	<-done
}

// The pool wants ten connections and gets two.
func TestFewerConnectionsThanThePoolWants(t *testing.T) {
	t.Parallel()
	t.Run("53300 of PostgreSQL", func(t *testing.T) {
		t.Parallel()
		db := storetest.New(t)
		s := db.Store(t)
		name := storetest.Query[string](t, db, `select current_database()`)
		db.Exec(t, fmt.Sprintf(`alter database %q connection limit 2`, name)) // not for superusers
		users := keyed(t, db, s, 20)
		for range 10 {
			lookAllUp(t, s, users)
		}
		if stats := s.PoolStats(); stats.Granted > 2 || stats.Refused == 0 || store.Writers(s) != 1 {
			t.Errorf("%+v, %d writers: they must not take all that there are", stats, store.Writers(s))
		}
		// What was not granted is granted later, and then used.
		db.Exec(t, fmt.Sprintf(`alter database %q connection limit -1`, name))
		eventually(t, func() bool {
			lookAllUp(t, s, users)
			stats := s.PoolStats()
			return stats.InUse+stats.Idle > 2
		})
	})
	t.Run("08P01 of PgBouncer", func(t *testing.T) {
		t.Parallel()
		db := storetest.New(t)
		s := storetest.Open(t, store.Config{URL: pooler(t, db, "max_client_conn = 2")})
		users := keyed(t, db, s, 20)
		for range 10 {
			lookAllUp(t, s, users)
		}
	})
	t.Run("XX000 of Supavisor", func(t *testing.T) {
		t.Parallel()
		db := storetest.New(t)
		f := newFullPooler(t, db.RoleURL("coderhook"), 2)
		s := storetest.Open(t, store.Config{URL: f.url})
		users := keyed(t, db, s, 20)
		for range 10 {
			lookAllUp(t, s, users)
		}
		if n := f.refused(); n == 0 || n > 20 {
			t.Errorf("%d connections were refused: who is refused must not knock again at once", n)
		}
	})
}

// A server at its limit may also say nothing at all: the mints that asked for a connection are late, but
// have their key.
func TestConnectionsThatAreNeverAnsweredCostNoKey(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	f := newFullPooler(t, db.RoleURL("coderhook"), 2)
	f.silent.Store(true)
	s := storetest.Open(t, store.Config{URL: f.url + "&connect_timeout=1"})
	users := keyed(t, db, s, 20)
	for range 3 {
		lookAllUp(t, s, users)
	}
	if n := f.refused(); n == 0 || n > 20 {
		t.Errorf("%d connections were not answered", n)
	}
}

// fullPooler passes so many connections on at a time, and refuses others as Supavisor does.
type fullPooler struct {
	url    string
	slots  chan struct{}
	silent atomic.Bool

	mu      sync.Mutex
	refusal int
}

func newFullPooler(t *testing.T, upstream string, slots int) *fullPooler {
	t.Helper()
	inner := newProxy(t, upstream)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := strings.Split(strings.Split(inner.url, "@")[1], "/")[0]
	f := &fullPooler{url: strings.Replace(inner.url, address, l.Addr().String(), 1), slots: make(chan struct{}, slots)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case f.slots <- struct{}{}:
				wg.Go(func() { defer func() { <-f.slots }(); relay(client, address) })
			default:
				wg.Go(func() { f.refuse(client) })
			}
		}
	})
	t.Cleanup(func() { l.Close(); inner.cut(); wg.Wait() })
	return f
}

// refuse answers as Supavisor 2 does to one client too many.
func (f *fullPooler) refuse(client net.Conn) {
	defer client.Close()
	f.mu.Lock()
	f.refusal++
	f.mu.Unlock()
	backend := pgproto3.NewBackend(client, client)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return
	}
	if f.silent.Load() {
		_, _ = io.Copy(io.Discard, client) // until the client gives up
		return
	}
	backend.Send(&pgproto3.ErrorResponse{
		Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "XX000",
		Message: "MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size",
	})
	_ = backend.Flush()
}

func (f *fullPooler) refused() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refusal
}

// The server's sessions that were open when a setting changed keep the old value.
func TestReadOnlyAndWritableAgain(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	users := keyed(t, db, s, 20)
	setForDatabase(t, db, `default_transaction_read_only = on`)
	db.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'coderhook'`)
	lookAllUp(t, s, users)
	err := s.Claim(t.Context(), store.Lease{UserID: uuid.New(), Owner: "me"}, ttl)
	if err == nil || !strings.Contains(err.Error(), "25006") {
		t.Fatalf("read-only: %v", err)
	}
	for range 2 {
		lookAllUp(t, s, users)
		setForDatabase(t, db, `default_transaction_read_only = off`)
		eventually(t, func() bool { // the pool is reset, but not all the time
			return s.Claim(t.Context(), store.Lease{UserID: uuid.New(), Owner: "me"}, ttl) == nil
		})
		claimAll(t, s, 20)
		setForDatabase(t, db, `default_transaction_read_only = on`)
		db.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'coderhook'`)
	}
}

// claimAll begins the work on so many accounts at the same time.
func claimAll(t *testing.T, s *store.Store, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := s.Claim(ctx, store.Lease{UserID: uuid.New(), Owner: "me"}, ttl); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestTheKeyColumnChangesItsType(t *testing.T) {
	t.Parallel()
	for _, params := range []string{"", "&pgbouncer=true"} {
		db := storetest.New(t)
		s := storetest.Open(t, store.Config{URL: db.RoleURL("coderhook") + params})
		users := keyed(t, db, s, 20)
		lookAllUp(t, s, users)
		db.Exec(t, `alter table public.profiles alter column api_key type varchar(200)`)
		lookAllUp(t, s, users)
		eventually(t, func() bool { return store.MayReset(s) }) // as often as this it does not change
		db.Exec(t, `alter table public.profiles alter column api_key type text`)
		lookAllUp(t, s, users)
	}
}

// A grant that is missing for good costs no more than a statement that is run once more now and then.
func TestAMissingRightResetsThePoolOnce(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	must(t, s.Ping(t.Context()))
	db.Exec(t, `revoke select on coderhook.accounts from coderhook`)
	for range 50 {
		if _, err := s.Lookup(t.Context(), uuid.New()); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Fatalf("without a right: %v", err)
		}
	}
	if n := store.Resets(s); n < 1 || n > 3 {
		t.Errorf("%d resets", n)
	}
	db.Exec(t, `grant select on coderhook.accounts to coderhook`)
	lookup(t, s, uuid.New())
}
