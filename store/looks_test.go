package store_test

import (
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// An entry tells when somebody last worked on its account, however that ended, and no look changes it.
func TestEntriesTellOfWork(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	held := newUser(t, db, s)
	changed := func() time.Time {
		entries, err := s.Entries(t.Context(), []uuid.UUID{held.UserID})
		must(t, err)
		if len(entries) != 1 {
			t.Fatalf("%d entries", len(entries))
		}
		return entries[0].ChangedAt
	}
	long := `update coderhook.accounts set updated_at = now() - interval '1 day', worked_at = now() - interval '1 day', lease_until = null, lease_owner = null`
	for name, work := range map[string]func(){
		"claimed":              func() { must(t, s.Claim(t.Context(), held, ttl)) },
		"claimed and released": func() { must(t, s.Claim(t.Context(), held, ttl)); must(t, s.Release(t.Context(), held)) },
		"released, claimed long ago": func() {
			db.Exec(t, `update coderhook.accounts set lease_owner = $1`, held.Owner)
			must(t, s.Release(t.Context(), held))
		},
		"killed":                      func() { db.Exec(t, `update coderhook.accounts set lease_until = now()`) },
		"changed by an older version": func() { db.Exec(t, `update coderhook.accounts set updated_at = now()`) },
	} {
		db.Exec(t, long)
		before := changed()
		must(t, s.Looked(t.Context(), held.UserID, time.Now()))
		if !changed().Equal(before) {
			t.Error("a look is work")
		}
		if work(); !changed().After(before.Add(23 * time.Hour)) {
			t.Errorf("%s: changed at %s", name, changed())
		}
	}
}

// The oldest look is told of the accounts that are looked at: those that have a Coder user and are not off-boarded.
func TestOldestLook(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	oldest := func() time.Time {
		at, err := s.OldestLook(t.Context())
		must(t, err)
		return at
	}
	if !oldest().IsZero() {
		t.Error("of an empty ledger")
	}
	db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, status, looked_at) values
		(gen_random_uuid(), null, 'pending', $1), (gen_random_uuid(), gen_random_uuid(), 'offboarded', $1)`, noon.Add(-time.Hour))
	if !oldest().IsZero() {
		t.Error("of accounts at which nobody looks")
	}
	db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, status, looked_at)
		select gen_random_uuid(), gen_random_uuid(), 'active', $1::timestamptz + make_interval(hours => i) from generate_series(0, 9) i`, noon)
	if !oldest().Equal(noon) {
		t.Errorf("got %s", oldest())
	}
}

// Accounts come up between half the interval and all of it, the oldest look first, each once in a walk of pages.
func TestUnlooked(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, status, looked_at)
		select gen_random_uuid(), gen_random_uuid(), 'active', $1::timestamptz + make_interval(secs => i % 7) from generate_series(1, 400) i`, noon)
	const interval = 8 * time.Hour
	for after, want := range map[time.Duration][2]int{3 * time.Hour: {0, 0}, 6 * time.Hour: {150, 250}, 8*time.Hour + 10*time.Second: {400, 400}} {
		seen := make(map[uuid.UUID]bool)
		var last store.Entry
		for {
			page, err := s.Unlooked(t.Context(), last, noon.Add(after), interval, 30)
			must(t, err)
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				if seen[e.UserID] || e.LookedAt.Before(last.LookedAt) {
					t.Fatalf("%s comes twice, or too late", e.UserID)
				}
				seen[e.UserID], last = true, e
			}
		}
		if n := len(seen); n < want[0] || n > want[1] {
			t.Errorf("after %s: %d of 400", after, n)
		}
	}
}

// Users are found by Supabase Auth's own index of addresses, whatever their instance.
func TestAuthUserIDsByIndex(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	db.Script(t, `
		alter table auth.users add column instance_id uuid, drop constraint users_email_key;
		create index users_instance_id_email_idx on auth.users (instance_id, lower(email::text));
		insert into auth.users (id, email, instance_id)
		select gen_random_uuid(), 'user' || i || '@example.com', '00000000-0000-0000-0000-000000000000' from generate_series(1, 20000) i;
		insert into auth.users (id, email, instance_id) values (gen_random_uuid(), 'Ada@example.com', null),
		  (gen_random_uuid(), 'ada@example.com', '00000000-0000-0000-0000-000000000000'), (gen_random_uuid(), 'ada@EXAMPLE.com', gen_random_uuid());
		analyze;`)
	for address, want := range map[string]int{"ADA@example.com": 3, "user77@example.com": 1, "nobody@example.com": 0} {
		if ids, err := s.AuthUserIDs(t.Context(), address); err != nil || len(ids) != want {
			t.Errorf("%s: %d users, %v; want %d", address, len(ids), err, want)
		}
	}
	s.Close() // its counters are written then
	eventually(t, func() bool {
		return storetest.Query[int](t, db, `select idx_scan::int from pg_stat_user_indexes where indexrelname = 'users_instance_id_email_idx'`) >= 9
	})
}
