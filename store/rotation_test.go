package store_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// heldURL is a URL that may change, as in a file.
type heldURL struct{ atomic.Pointer[string] }

func (h *heldURL) set(url string) { h.Store(&url) }

func (h *heldURL) read() (string, error) { return *h.Load(), nil }

// follow opens a store whose URL is held.
func follow(t *testing.T, url string) (*heldURL, *store.Store) {
	t.Helper()
	held := new(heldURL)
	held.set(url)
	return held, storetest.Open(t, store.Config{URL: url, Reread: held.read})
}

// withPassword is the URL of the role coderhook with another password.
func withPassword(db *storetest.DB, password string) string {
	return strings.Replace(db.RoleURL("coderhook"), "coderhook:throwaway@", "coderhook:"+password+"@", 1)
}

func endSessions(t *testing.T, db *storetest.DB) {
	t.Helper()
	db.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename like 'coderhook%'`)
}

// Twenty mints at a time while the password changes in the database and in the file: none is lost,
// whichever comes first, and also when no connection is left from before.
func TestPasswordIsRotated(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ fileFirst, noneLeft bool }{
		"file first":            {true, false},
		"file first, none left": {true, true},
		"database first":        {false, false},
		"one after the other":   {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, _ := storetest.Own(t)
			held, s := follow(t, db.RoleURL("coderhook"))
			users := keyed(t, db, s, 20)
			lookup(t, s, users[0])
			change := func() { db.Exec(t, `alter role coderhook password 'another'`) }
			write := func() { held.set(withPassword(db, "another")) }
			if c.fileFirst {
				write()
			} else {
				change()
			}
			if c.noneLeft {
				endSessions(t, db)
			}
			if !c.fileFirst && c.noneLeft {
				var writing sync.WaitGroup
				defer writing.Wait()
				refused := s.PoolStats().Refused
				writing.Go(func() {
					eventually(t, func() bool { return s.PoolStats().Refused > refused+20 })
					write()
				})
			}
			lookAllUp(t, s, users)
			if c.fileFirst {
				change()
			} else {
				write()
			}
			lookAllUp(t, s, users)
			endSessions(t, db)
			lookAllUp(t, s, users)
		})
	}
}

// By value there is no other password, but there are connections.
func TestARefusedPasswordCostsNoKey(t *testing.T) {
	t.Parallel()
	db, _ := storetest.Own(t)
	s := db.Store(t)
	users := keyed(t, db, s, 20)
	lookup(t, s, users[0])
	db.Exec(t, `alter role coderhook password 'another'`)
	for range 5 {
		lookAllUp(t, s, users)
	}
}

// A password that stays wrong slows nobody down for long.
func TestAWrongPasswordFailsFast(t *testing.T) {
	t.Parallel()
	db, _ := storetest.Own(t)
	s := storetest.Open(t, store.Config{URL: withPassword(db, "wrong")})
	id := uuid.New()
	eventually(t, func() bool {
		start := time.Now()
		if _, err := s.Lookup(t.Context(), id); err == nil || !strings.Contains(err.Error(), "28P01") {
			t.Fatalf("got %v", err)
		}
		return time.Since(start) < 500*time.Millisecond
	})
}

// Two roles that log in take turns: the other one gets its password while nobody uses it.
func TestTwoLoginRolesTakeTurns(t *testing.T) {
	t.Parallel()
	db, _ := storetest.Own(t)
	must(t, storetest.RunScript(t.Context(), db.RoleURL(pgserver.ProductAdmin), `
		create role coderhook_a login password 'throwaway' in role coderhook;
		create role coderhook_b login password 'throwaway' in role coderhook`))
	held, s := follow(t, db.RoleURL("coderhook_a"))
	users := keyed(t, db, s, 20)
	use := func() { // all that the server does, past the policies that are for coderhook
		t.Helper()
		lookAllUp(t, s, users)
		must(t, s.StoreKey(t.Context(), newUser(t, db, s), newKey()))
		must(t, second(s.AuthUsers(t.Context(), users)))
		must(t, s.Writable(t.Context()))
	}
	use()
	held.set(db.RoleURL("coderhook_b"))
	renewed, err := s.Renew(t.Context())
	if err != nil || !renewed {
		t.Fatalf("renewed: %v, %v", renewed, err)
	}
	use()
	by := func(role string) int {
		return storetest.Query[int](t, db, `select count(*) from pg_stat_activity where datname = current_database() and usename = $1`, role)
	}
	eventually(t, func() bool { return by("coderhook_a") == 0 && by("coderhook_b") > 0 })
	db.Exec(t, `alter role coderhook_a nologin`)
	use()
	if renewed, err := s.Renew(t.Context()); err != nil || renewed {
		t.Errorf("renewed again: %v, %v", renewed, err)
	}
}

// What is no good in the file leaves the connections as they are.
func TestAURLThatIsNoGoodIsNotUsed(t *testing.T) {
	t.Parallel()
	db, _ := storetest.Own(t)
	held, s := follow(t, db.RoleURL("coderhook"))
	users := keyed(t, db, s, 20)
	for _, url := range []string{"", "half a li", withPassword(db, "hunter2"), "postgres://u:hunter2@" + closedPort(t) + "/db"} {
		held.set(url)
		renewed, err := s.Renew(t.Context())
		if err == nil || renewed || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: renewed %v, %v", url, renewed, err)
		}
		lookAllUp(t, s, users)
		endSessions(t, db)
		lookAllUp(t, s, users) // on what worked before
	}
	held.set(db.RoleURL("coderhook"))
	endSessions(t, db)
	lookAllUp(t, s, users)
}

// As `supabase db reset` does: the open sessions belong to a role that is gone.
func TestTheRoleIsDroppedAndMadeAgain(t *testing.T) {
	t.Parallel()
	db, _ := storetest.Own(t)
	s := db.Store(t)
	users := keyed(t, db, s, 20)
	lookAllUp(t, s, users)
	claimAll(t, s, 20)
	db.Script(t, `drop owned by coderhook; drop role coderhook`)
	must(t, second(store.Migrate(t.Context(), store.Config{URL: db.RoleURL(pgserver.ProductAdmin)})))
	db.Exec(t, `alter role coderhook login password 'throwaway'`)
	claimAll(t, s, 20)
	lookAllUp(t, s, users)
	must(t, s.StoreKey(t.Context(), newUser(t, db, s), newKey()))
}

func TestAStandbyCanBeRead(t *testing.T) {
	t.Parallel()
	db, server := storetest.Own(t)
	s := db.Store(t)
	users := keyed(t, db, s, 20)
	lookAllUp(t, s, users)
	must(t, s.Writable(t.Context()))
	server.Halt(pgserver.Fast)
	if err := s.Writable(t.Context()); err == nil {
		t.Error("a halted server can be written to")
	}
	must(t, server.ResumeAsStandby(t.Context()))
	lookAllUp(t, s, users)
	wantErr(t, s.Writable(t.Context()), store.ErrReadOnly)
	lease := store.Lease{UserID: users[0], Owner: "me"}
	if err := s.Claim(t.Context(), lease, ttl); err == nil || !strings.Contains(err.Error(), "25006") {
		t.Errorf("read-only: %v", err)
	}
	db.Script(t, `select pg_promote()`)
	claimAll(t, s, 20)
	must(t, s.Writable(t.Context()))
	must(t, s.StoreKey(t.Context(), claimed(t, s, users[1], "me"), newKey()))
}

// Who waits for a connection that was open does not wait for one that will never be.
func TestAServerThatGoesDownIsGivenUp(t *testing.T) {
	t.Parallel()
	db, server := storetest.Own(t)
	s := db.Store(t)
	users := keyed(t, db, s, 40)
	lookAllUp(t, s, users)
	for _, how := range []pgserver.Shutdown{pgserver.Fast, pgserver.Immediate} {
		server.Halt(how)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for _, id := range users {
			wg.Go(func() {
				if _, err := s.Lookup(ctx, id); err == nil || ctx.Err() != nil {
					t.Errorf("%v, after waiting %v", err, ctx.Err())
				}
			})
		}
		wg.Wait()
		must(t, server.Resume(t.Context()))
		lookAllUp(t, s, users)
	}
}

// frontAt listens in a folder as PostgreSQL does, and relays to upstream. A socket's path, unlike a port, is nobody
// else's meanwhile.
func frontAt(t *testing.T, folder string, upstream *pgx.ConnConfig) (stop func()) {
	t.Helper()
	network, address := pgconn.NetworkAddress(upstream.Host, upstream.Port)
	l, err := net.Listen("unix", filepath.Join(folder, ".s.PGSQL.5432"))
	must(t, err)
	var mu sync.Mutex
	var clients []net.Conn
	var relaying sync.WaitGroup
	relaying.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			clients = append(clients, client)
			mu.Unlock()
			relaying.Go(func() { relayTo(client, network, address) })
		}
	})
	return sync.OnceFunc(func() {
		l.Close()
		mu.Lock()
		for _, client := range clients {
			client.Close()
		}
		mu.Unlock()
		relaying.Wait()
	})
}

// A restart that takes no longer than a moment costs no key, though nothing listens meanwhile.
func TestARestartCostsNoKey(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	upstream, err := pgx.ParseConfig(db.RoleURL("coderhook"))
	must(t, err)
	folder, err := os.MkdirTemp("", "pg") // short enough for a socket
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	stop := frontAt(t, folder, upstream)
	s := storetest.Open(t, store.Config{URL: fmt.Sprintf("postgres://%s:%s@/%s?host=%s&port=5432", upstream.User, upstream.Password, upstream.Database, folder)})
	users := keyed(t, db, db.Store(t), 20)
	lookAllUp(t, s, users)
	stop()
	var starting sync.WaitGroup
	starting.Go(func() {
		eventually(t, func() bool { return s.PoolStats().Refused > 3 })
		t.Cleanup(frontAt(t, folder, upstream))
	})
	lookAllUp(t, s, users)
	starting.Wait()
}

// Who was never reached is not restarting: a command with a wrong address says so at once.
func TestAServerThatWasNeverReachedIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "pg")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	s := storetest.Open(t, store.Config{URL: "postgres://u:p@/d?host=" + folder + "&port=5432&pool_min_idle_conns=0"})
	if err := s.Ping(t.Context()); err == nil || s.PoolStats().Refused != 1 {
		t.Errorf("%v, after %d tries", err, s.PoolStats().Refused)
	}
}
