package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
)

// mintsWithKeys has so many users sign in, each so often that the key is stored, and returns a mint of all
// of them at the same time. None may be without a key.
func mintsWithKeys(t *testing.T, db *storetest.DB, p *cmdtest.Server, n int) (mint func(*cmdtest.Server)) {
	t.Helper()
	users := make([]uuid.UUID, n)
	for i := range users {
		users[i] = db.AddUser(t, uuid.NewString()+"@example.com")
		email := storetest.Query[string](t, db, `select email from auth.users where id = $1`, users[i])
		cmdtest.Eventually(t, "a key is stored", func() bool {
			_, _, err := p.Mint(t.Context(), http.DefaultClient, users[i], email)
			return err == nil && storetest.Query[bool](t, db, `select exists (select from public.profiles where id = $1 and api_key is not null)`, users[i])
		})
	}
	return func(p *cmdtest.Server) {
		t.Helper()
		var wg sync.WaitGroup
		for _, user := range users {
			wg.Go(func() {
				if key, status, err := mintPatiently(t, p, http.DefaultClient, user, "x@example.com"); key == "" || err != nil {
					t.Errorf("no key: %q, %v", status, err)
				}
			})
		}
		wg.Wait()
	}
}

// mintPatiently mints again where the whole of HOOK_DEADLINE, four seconds here, went by: on a busy machine that may be,
// once or twice. A mint that gives up before is a fault.
func mintPatiently(t *testing.T, p *cmdtest.Server, client *http.Client, user uuid.UUID, email string) (key, status string, err error) {
	t.Helper()
	for range 4 {
		began := time.Now()
		if key, status, err = p.Mint(t.Context(), client, user, email); key != "" || err != nil || time.Since(began) < 3*time.Second {
			break
		}
	}
	return key, status, err
}

func onDatabase(t *testing.T, db *storetest.DB, change string) {
	t.Helper()
	db.Exec(t, fmt.Sprintf(`alter database %q %s`, storetest.Query[string](t, db, `select current_database()`), change))
}

func sessions(t *testing.T, db *storetest.DB) int {
	t.Helper()
	return storetest.Query[int](t, db, `select count(*) from pg_stat_activity where datname = current_database() and usename like 'coderhook%'`)
}

func TestIdleSessionsThatTimeOutCostNoKey(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	onDatabase(t, db, `set idle_session_timeout = '300ms'`)
	p := cmdtest.Start(t, db, coder, "HOOK_DEADLINE=4s")
	mint := mintsWithKeys(t, db, p, 5)
	for range 3 {
		mint(p)
		cmdtest.Eventually(t, "all sessions have ended", func() bool { return sessions(t, db) == 0 })
	}
	mint(p)
	p.Stop(t)
}

func TestFewerConnectionsThanWantedCostNoKey(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	onDatabase(t, db, `connection limit 2`)
	p := cmdtest.Start(t, db, coder, "ON_ERROR=reject", "HOOK_DEADLINE=4s", "ADMIN_ADDR=127.0.0.1:0")
	mint := mintsWithKeys(t, db, p, 20)
	for range 5 {
		mint(p)
	}
	text := cmdtest.Get(t, "http://"+p.Admin+"/metrics")
	if strings.Contains(text, "coderhook_database_connections_refused_total 0\n") || !strings.Contains(text, "coderhook_database_connections_refused_total ") {
		t.Error("no refused connection is counted")
	}
	p.Stop(t)
}

// The password changes in the database and in the file, with sign-ins all the time.
func TestDatabasePasswordIsRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	db, _ := storetest.Own(t)
	coder := cmdtest.Coder(t)
	file := filepath.Join(t.TempDir(), "url")
	write := func(url string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(url+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write(db.RoleURL("coderhook"))
	p := cmdtest.Start(t, db, coder, "DATABASE_URL=", "DATABASE_URL_FILE="+file, "ON_ERROR=reject", "HOOK_DEADLINE=4s")
	mint := mintsWithKeys(t, db, p, 20)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var rounds atomic.Int64
	var load sync.WaitGroup
	load.Go(func() {
		for ctx.Err() == nil {
			mint(p)
			rounds.Add(1)
		}
	})
	some := func() {
		t.Helper()
		from := rounds.Load()
		cmdtest.Eventually(t, "some mints", func() bool { return rounds.Load() > from+3 })
	}
	for i, password := range []string{"hunter21", "hunter22", "hunter23"} {
		change := func() { db.Exec(t, `alter role coderhook password '`+password+`'`) }
		renew := func() { write(strings.Replace(db.RoleURL("coderhook"), "throwaway", password, 1)) }
		steps := []func(){change, renew}
		if i%2 == 1 {
			steps = []func(){renew, change}
		}
		for _, step := range steps {
			step()
			some()
		}
		db.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'coderhook'`)
		some()
	}
	cmdtest.Eventually(t, "the file is noticed", func() bool { return strings.Contains(p.Log(), "DATABASE_URL_FILE read again") })
	cancel()
	load.Wait()
	for _, password := range []string{"throwaway", "hunter2"} {
		if strings.Contains(p.Log(), password) {
			t.Errorf("the password %q is in the log", password)
		}
	}
	p.Stop(t)
}

// A standby gives the keys that there are; the log, /readyz and, later on, its end are told.
func TestServeBesideAStandby(t *testing.T) {
	t.Parallel()
	db, server := storetest.Own(t)
	coder := cmdtest.Coder(t)
	first := cmdtest.Start(t, db, coder)
	mint := mintsWithKeys(t, db, first, 3)
	first.Stop(t)
	server.Halt(pgserver.Fast)
	if err := server.ResumeAsStandby(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := cmdtest.Start(t, db, coder, "HOOK_DEADLINE=4s")
	mint(p)
	cmdtest.Eventually(t, "a line in the log", func() bool { return strings.Contains(p.Log(), "the database is read-only") })
	p.Becomes(t, `"database":"degraded"`)
	db.Script(t, `select pg_promote()`)
	p.Becomes(t, `"database":"ok"`)
	mint(p)
	p.Stop(t)
}
