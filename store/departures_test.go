package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// noted are the departures of a user, in their order.
func noted(t *testing.T, db *storetest.DB, user uuid.UUID) []string {
	t.Helper()
	return storetest.QueryAll[string](t, db, `select what from coderhook.departures where user_id = $1 order by id`, user)
}

// Whatever ends or gives back a user's access is written down with it, whoever does it, and nothing else is.
func TestDeparturesAreWrittenDown(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	for name, c := range map[string]struct {
		statements []string
		want       []string
	}{
		"ban":              {[]string{`update auth.users set banned_until = 'infinity' where id = $1`}, []string{"changed"}},
		"ban and unban":    {[]string{`update auth.users set banned_until = now() + interval '1 day' where id = $1`, `update auth.users set banned_until = null where id = $1`}, []string{"changed", "changed"}},
		"softly":           {[]string{`update auth.users set deleted_at = now() where id = $1`}, []string{"changed"}},
		"restored":         {[]string{`update auth.users set deleted_at = now() where id = $1`, `update auth.users set deleted_at = null where id = $1`}, []string{"changed", "changed"}},
		"deleted":          {[]string{`delete from auth.users where id = $1`}, []string{"deleted"}},
		"given another id": {[]string{`update auth.users set id = gen_random_uuid() where id = $1`}, []string{"deleted"}},
		"a sign-in":        {[]string{`update auth.users set last_sign_in_at = now(), updated_at = now() where id = $1`}, nil},
		"an anonymous one": {[]string{`update auth.users set is_anonymous = true where id = $1`, `delete from auth.users where id = $1`}, nil},
	} {
		user := db.AddUser(t, "")
		db.Exec(t, `update auth.users set is_anonymous = false where id = $1`, user)
		tx := db.Begin(t)
		tx.Exec(t, `set local role supabase_auth_admin`) // as whom Supabase Auth does it
		for _, sql := range c.statements {
			tx.Exec(t, sql, user)
		}
		if got := noted(t, db, user); len(got) > 0 {
			t.Errorf("%s: %v are there before the commit", name, got)
		}
		tx.Exec(t, "commit")
		if got := noted(t, db, user); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	user := db.AddUser(t, "rolled-back@example.com")
	tx := db.Begin(t)
	tx.Exec(t, `delete from auth.users where id = $1`, user)
	tx.Exec(t, "rollback")
	if got := noted(t, db, user); len(got) > 0 {
		t.Errorf("rolled back: %v", got)
	}
}

func wantChanges(t *testing.T, s *store.Store, want store.Changes) {
	t.Helper()
	got, err := s.Changes(t.Context(), 10)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What the ledger does not know yet, or not any more, is found without a departure, and nothing else.
func TestChanges(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	const account = `insert into coderhook.accounts (user_id, status, suspended_by_us) values ($1, $2, $3)`
	add := func(status store.Status, suspended bool, change string) uuid.UUID {
		user := db.AddUser(t, uuid.NewString()+"@example.com")
		db.Exec(t, account, user, status, suspended)
		db.Exec(t, change+` where id = $1`, user)
		return user
	}
	const nothing, banned = `update auth.users set updated_at = now()`, `update auth.users set banned_until = 'infinity'`
	const passed, removed = `update auth.users set banned_until = now() - interval '1 day'`, `update auth.users set deleted_at = now()`
	for _, change := range []string{nothing, passed} {
		add(store.Active, false, change)
	}
	add(store.Offboarded, true, banned)
	db.Exec(t, account, uuid.New(), store.Offboarded, true)
	others := map[uuid.UUID]bool{
		add(store.Active, false, banned): true, add(store.Pending, false, removed): true, add(store.Conflict, true, banned): true,
		add(store.Offboarded, false, nothing): true, add(store.Offboarded, true, passed): true, add(store.Suspended, true, nothing): true,
	}
	gone := uuid.New()
	db.Exec(t, account, gone, store.Active, false)
	db.AddUser(t, "unknown-to-the-ledger@example.com")
	got, err := s.Changes(t.Context(), 10)
	must(t, err)
	for _, user := range got.Others {
		if !others[user] {
			t.Errorf("%s is not at odds", user)
		}
		delete(others, user)
	}
	if len(others) > 0 || got.Accounts != 7 || got.Missing != 1 || !slices.Equal(got.Gone, []uuid.UUID{gone}) {
		t.Errorf("not found: %v; got %+v", others, got)
	}
	db.Exec(t, `insert into coderhook.accounts (user_id) select gen_random_uuid() from generate_series(1, 4)`)
	if got, err = s.Changes(t.Context(), 3); err != nil || got.Missing != 5 || len(got.Gone) != 3 || len(got.Others) != 3 {
		t.Errorf("three of each: %+v, %v", got, err)
	}
}

// Old versions of Supabase Auth have no such columns.
func TestDeparturesWithoutTheColumns(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	user, other := db.AddUser(t, "ada@example.com"), db.AddUser(t, "eve@example.com")
	db.Exec(t, `alter table auth.users drop column banned_until, drop column deleted_at, drop column is_anonymous`)
	db.Exec(t, `update auth.users set updated_at = now()`)
	db.Exec(t, `delete from auth.users where id = $1`, user)
	if got := noted(t, db, user); !slices.Equal(got, []string{"deleted"}) || len(noted(t, db, other)) > 0 {
		t.Errorf("got %v", got)
	}
	db.Exec(t, `insert into coderhook.accounts (user_id) values ($1), ($2)`, user, other)
	wantChanges(t, db.Store(t), store.Changes{Accounts: 2, Missing: 1, Gone: []uuid.UUID{user}, Others: []uuid.UUID{}})
	db.Exec(t, `update coderhook.accounts set status = 'offboarded'`)
	wantChanges(t, db.Store(t), store.Changes{Gone: []uuid.UUID{}, Others: []uuid.UUID{other}})
}

// Supabase Auth's own migrations may alter any column: nothing of ours depends on one.
func TestTriggersKeepNoColumnFromBeingAltered(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.Script(t, `set role supabase_auth_admin;
		alter table auth.users alter column banned_until type text;
		alter table auth.users rename column deleted_at to removed_at;
		alter table auth.users add column more jsonb default '{}';`)
	user := db.AddUser(t, "ada@example.com")
	db.Exec(t, `update auth.users set banned_until = 'infinity' where id = $1`, user)
	db.Exec(t, `delete from auth.users where id = $1`, user)
	if got := noted(t, db, user); !slices.Equal(got, []string{"changed", "deleted"}) {
		t.Errorf("got %v", got)
	}
}

// A trigger that can't write neither fails nor holds up the statement, but for the fifth of a second that it
// waits once for the table.
func TestDeparturesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*testing.T, *storetest.DB){
		"locked by somebody": func(t *testing.T, db *storetest.DB) {
			db.Begin(t).Exec(t, `lock table coderhook.departures in access exclusive mode`)
		},
		"dropped":        func(t *testing.T, db *storetest.DB) { db.Exec(t, `drop table coderhook.departures`) },
		"another table":  func(t *testing.T, db *storetest.DB) { db.Exec(t, `alter table coderhook.departures drop column what`) },
		"schema dropped": func(t *testing.T, db *storetest.DB) { db.Exec(t, `alter schema coderhook rename to elsewhere`) },
		"rights revoked": func(t *testing.T, db *storetest.DB) {
			db.Exec(t, `alter table coderhook.departures owner to supabase_auth_admin`)
			db.Exec(t, `revoke all on coderhook.departures from product_admin, public`)
		},
		"a rule of the table": func(t *testing.T, db *storetest.DB) {
			db.Exec(t, `alter table coderhook.departures add constraint never check (what = 'x')`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			for i := range 5 {
				db.AddUser(t, fmt.Sprintf("%d@example.com", i))
			}
			spoil(t, db)
			tx := db.Begin(t)
			tx.Exec(t, `set local role supabase_auth_admin`)
			// As whoever waited for a second would be ended by it.
			tx.Exec(t, `set local statement_timeout = '30s'`)
			began := time.Now()
			tx.Exec(t, `update auth.users set banned_until = 'infinity' where email = '0@example.com'`)
			for i := range 5 {
				tx.Exec(t, `delete from auth.users where email = $1`, fmt.Sprintf("%d@example.com", i))
			}
			t.Logf("six statements took %s", time.Since(began))
			tx.Exec(t, "commit")
			if left := storetest.Query[int](t, db, `select count(*) from auth.users`); left != 0 {
				t.Errorf("%d users are left", left)
			}
		})
	}
}

// The lock_timeout of the session is its own again behind the trigger.
func TestTheTriggerLeavesTheSessionAlone(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.AddUser(t, "ada@example.com")
	tx := db.Begin(t)
	tx.Exec(t, `set local lock_timeout = '7s'`)
	tx.Exec(t, `delete from auth.users`)
	if got := storetest.TxQuery[string](t, tx, `show lock_timeout`); got[0] != "7s" {
		t.Errorf("it is %v", got)
	}
	if got := storetest.TxQuery[string](t, tx, `select coalesce(current_setting('coderhook.departure_missed', true), '')`); got[0] != "" {
		t.Errorf("missed: %v", got)
	}
}

// What the Data API's users, and Supabase's own roles, must not do.
func TestDeparturesAreNobodyElses(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	user := db.AddUser(t, "ada@example.com")
	db.Exec(t, `delete from auth.users where id = $1`, user)
	for _, role := range []string{"anon", "authenticated", "service_role"} {
		for _, sql := range []string{
			`select count(*) from coderhook.departures`,
			`insert into coderhook.departures (user_id, what) values (gen_random_uuid(), 'deleted')`,
			`update coderhook.departures set done_at = now()`,
			`delete from coderhook.departures`,
			`select coderhook.user_changed()`,
			`select * from coderhook.users_at_odds(1)`,
			`create temp table mine (id uuid); create trigger mine after delete on mine referencing old table as old_users for each statement execute function coderhook.user_changed()`,
			`lock table coderhook.departures in access exclusive mode`,
		} {
			err := db.Run(`set role ` + role + `; ` + sql)
			if err == nil || !strings.Contains(err.Error(), "permission denied") {
				t.Errorf("%s may: %s: %v", role, sql, err)
			}
		}
	}
	// The server's role may write departures, which prove nothing, and can't fire the function.
	for _, sql := range []string{
		`select coderhook.user_changed()`,
		`create temp table mine (id uuid); create trigger mine after delete on mine referencing old table as old_users for each statement execute function coderhook.user_changed()`,
		`drop function coderhook.user_changed() cascade`,
		`alter table coderhook.departures disable trigger all`,
	} {
		if err := db.Run(`set role coderhook; ` + sql); err == nil {
			t.Errorf("coderhook may: %s", sql)
		}
	}
	if got := noted(t, db, user); !slices.Equal(got, []string{"deleted"}) {
		t.Errorf("got %v", got)
	}
}

// watched is what the server asks.
func watched(t *testing.T, db *storetest.DB) bool {
	t.Helper()
	yes, err := db.Store(t).Watched(t.Context())
	must(t, err)
	return yes
}

func TestMigrateWithoutTheTriggers(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	cfg := store.Config{URL: db.RoleURL(pgserver.ProductAdmin)}
	without := cfg
	without.NoTrigger = true
	for _, step := range []struct {
		cfg  store.Config
		want bool
	}{{without, false}, {without, false}, {cfg, true}, {cfg, true}, {without, false}, {cfg, true}} {
		got, err := store.Migrate(t.Context(), step.cfg)
		must(t, err)
		if got.Watched != step.want || watched(t, db) != step.want {
			t.Errorf("without %v: %+v", step.cfg.NoTrigger, got)
		}
		user := db.AddUser(t, "ada@example.com")
		db.Exec(t, `delete from auth.users`)
		if got := len(noted(t, db, user)) == 1; got != step.want {
			t.Errorf("without %v: a deletion is seen: %v", step.cfg.NoTrigger, got)
		}
	}
	db.Exec(t, `alter table auth.users disable trigger coderhook_user_deleted`)
	if watched(t, db) {
		t.Error("a disabled trigger counts")
	}
}

// Where the migrating role may not, the scan takes over.
func TestMigrateWhereTriggersMayNotBeMade(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	db.Exec(t, `revoke trigger on auth.users from product_admin`)
	for range 2 {
		got, err := store.Migrate(t.Context(), store.Config{URL: db.RoleURL(pgserver.ProductAdmin)})
		must(t, err)
		if got.Watched || watched(t, db) {
			t.Errorf("got %+v", got)
		}
	}
	wantWorking(t, db, store.Config{})
}

// Several replicas take each departure once, and one that is killed with it keeps it from nobody for long.
func TestTakeDepartures(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	a, b := db.Store(t), db.Store(t)
	users := make(map[uuid.UUID]bool)
	for i := range 5 {
		users[db.AddUser(t, fmt.Sprintf("%d@example.com", i))] = true
	}
	db.Exec(t, `delete from auth.users`)
	first, err := a.TakeDepartures(t.Context(), 3, time.Hour)
	must(t, err)
	rest, err := b.TakeDepartures(t.Context(), 3, time.Hour)
	must(t, err)
	for _, d := range append(first, rest...) {
		if !users[d.UserID] || d.What != "deleted" || d.At.IsZero() {
			t.Errorf("taken twice, or wrong: %+v", d)
		}
		delete(users, d.UserID)
	}
	if none, err := a.TakeDepartures(t.Context(), 3, time.Hour); len(first) != 3 || len(rest) != 2 || len(none) != 0 || err != nil {
		t.Errorf("took %d, %d and %d, %v", len(first), len(rest), len(none), err)
	}
	must(t, a.FinishDepartures(t.Context(), first[0].ID, first[1].ID))
	must(t, a.PostponeDeparture(t.Context(), first[2].ID, 0, errors.New("Coder is down")))
	must(t, b.PostponeDeparture(t.Context(), rest[0].ID, 0, nil))
	again, err := b.TakeDepartures(t.Context(), 9, time.Hour)
	must(t, err)
	tries := map[int64]int{}
	for _, d := range again {
		tries[d.ID] = d.Tries
	}
	if len(again) != 2 || tries[first[2].ID] != 1 || tries[rest[0].ID] != 0 {
		t.Errorf("got %+v", again)
	}
	if n, oldest, err := a.PendingDepartures(t.Context()); n != 3 || oldest <= 0 || err != nil {
		t.Errorf("%d pending, the oldest for %s, %v", n, oldest, err)
	}
}

// A deletion is remembered for a while, so that a sign-in that was under way finds it.
func TestDeletionsAreRemembered(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	user := db.AddUser(t, "ada@example.com")
	departed := func() bool {
		users, err := s.AuthUsers(t.Context(), []uuid.UUID{user})
		must(t, err)
		return users[0].Departed && users[0].Left(time.Now())
	}
	if departed() {
		t.Error("she is here")
	}
	db.Exec(t, `delete from auth.users`)
	taken, err := s.TakeDepartures(t.Context(), 1, time.Minute)
	must(t, err)
	must(t, s.FinishDepartures(t.Context(), taken[0].ID))
	must(t, s.ForgetDepartures(t.Context()))
	if n, _, _ := s.PendingDepartures(t.Context()); n != 0 || !departed() {
		t.Errorf("%d pending, departed: %v", n, departed())
	}
	db.Exec(t, `update coderhook.departures set done_at = now() - interval '61 minutes'`)
	must(t, s.ForgetDepartures(context.WithoutCancel(t.Context())))
	if departed() {
		t.Error("not forgotten")
	}
	db.Exec(t, `insert into coderhook.departures (user_id, what) values ($1, 'deleted')`, user)
	db.Exec(t, `insert into auth.users (id) values ($1)`, user)
	if departed() {
		t.Error("who is back counts as departed")
	}
}

// All that happens to departures, through a pooler that keeps no session.
func TestDeparturesThroughPgBouncer(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	pooler, err := pgserver.StartPooler(t.Context(), db.RoleURL("coderhook"), 6543)
	if errors.Is(err, pgserver.ErrNoPooler) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, pooler.Stop()) })
	s := storetest.Open(t, store.Config{URL: pooler.URL(storetest.Query[string](t, db, `select current_database()`))})
	user := db.AddUser(t, "ada@example.com")
	db.Exec(t, `insert into coderhook.accounts (user_id) values ($1)`, user)
	db.Exec(t, `delete from auth.users`)
	taken, err := s.TakeDepartures(t.Context(), 5, time.Minute)
	must(t, err)
	if len(taken) != 1 {
		t.Fatalf("took %+v", taken)
	}
	must(t, s.PostponeDeparture(t.Context(), taken[0].ID, time.Minute, errors.New("later")))
	must(t, s.FinishDepartures(t.Context(), taken[0].ID))
	wantChanges(t, s, store.Changes{Accounts: 1, Missing: 1, Gone: []uuid.UUID{user}, Others: []uuid.UUID{}})
	entries, err := s.Entries(t.Context(), []uuid.UUID{user, uuid.New()})
	must(t, err)
	if len(entries) != 1 || entries[0].UserID != user {
		t.Errorf("got %+v", entries)
	}
	must(t, s.Stopped(t.Context(), user))
	must(t, s.ForgetDepartures(t.Context()))
	if yes, err := s.Watched(t.Context()); !yes || err != nil {
		t.Errorf("watched: %v, %v", yes, err)
	}
}
