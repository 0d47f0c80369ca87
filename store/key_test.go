package store_test

import (
	"strings"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// newUser returns the lease of a committed user.
func newUser(t *testing.T, db *storetest.DB, s *store.Store) store.Lease {
	t.Helper()
	return claimed(t, s, db.AddUser(t, uuid.NewString()+"@example.com"), "me")
}

func TestStoreKeyReplacesAKey(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	lease := newUser(t, db, s)
	must(t, s.RecordFailure(t.Context(), lease, store.Pending, "Coder was down"))
	for _, id := range []string{"aaaaaaaaaa", "bbbbbbbbbb"} {
		must(t, s.StoreKey(t.Context(), lease, store.Key{Secret: id + "-x", ID: id}))
		wantAccount(t, s, store.Account{
			UserID: lease.UserID, HasProfile: true, APIKey: id + "-x", Known: true, Status: store.Active, KeyID: id,
		})
	}
}

// A key counts as given out unless it was stored as one that is not, and until a token is to carry it.
func TestGiveOut(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	lease := newUser(t, db, s)
	ctx, id := t.Context(), lease.UserID
	wantUnseen := func(when string, want bool) {
		t.Helper()
		if got := lookup(t, s, id); got.KeyUnseen != want {
			t.Errorf("%s: %t", when, got.KeyUnseen)
		}
	}
	wantUnseen("no key", false)
	first := store.Key{Secret: "aaaaaaaaaa-x", ID: "aaaaaaaaaa", Unseen: true}
	must(t, s.StoreKey(ctx, lease, first))
	wantUnseen("stored", true)
	must(t, s.RecordKey(ctx, lease, store.Key{ID: first.ID}))
	wantUnseen("looked at again", true)
	must(t, s.GiveOut(ctx, id, "bbbbbbbbbb"))
	wantUnseen("another is given out", true)
	page, err := s.Page(ctx, uuid.Nil, 10)
	if err != nil || len(page) != 1 || !page[0].KeyUnseen {
		t.Errorf("%v, %v", page, err)
	}
	must(t, s.GiveOut(ctx, id, first.ID))
	wantUnseen("given out", false)
	must(t, s.StoreKey(ctx, lease, store.Key{Secret: "bbbbbbbbbb-x", ID: "bbbbbbbbbb", Unseen: true}))
	must(t, s.StoreKey(ctx, lease, store.Key{Secret: "cccccccccc-x", ID: "cccccccccc"}))
	wantUnseen("another is stored, for a token", false)
	must(t, s.StoreKey(ctx, lease, first))
	db.Exec(t, `update coderhook.accounts set key_id = 'dddddddddd'`)
	wantUnseen("an older version stored another", false)
	// A key that was handed out as nobody knew of it, and then adopted.
	must(t, s.Release(ctx, lease))
	db.Exec(t, `update coderhook.accounts set key_id = null`)
	must(t, s.Adopt(ctx, store.Adoption{UserID: id, Key: store.Key{ID: first.ID}, CoderUser: uuid.New(), Username: "ada"}))
	wantUnseen("adopted", false)
}

func TestStoreKeyLeavesTheRestOfTheProfileAlone(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	lease, other := newUser(t, db, s), newUser(t, db, s)
	db.Exec(t, `alter table public.profiles add column name text default 'new'`)
	db.Exec(t, `insert into public.profiles (id, name) values ($1, 'Ada'), ($2, 'Bob')`, lease.UserID, other.UserID)
	must(t, s.StoreKey(t.Context(), lease, newKey()))
	got := storetest.QueryAll[string](t, db, `select name || ' ' || coalesce(api_key, 'none') from public.profiles order by name`)
	if diff := cmp.Diff([]string{"Ada " + secret, "Bob none"}, got); diff != "" {
		t.Error(diff)
	}
}

// wantNothingStored checks that neither half of a key was kept.
func wantNothingStored(t *testing.T, s *store.Store, id uuid.UUID) {
	t.Helper()
	if got := lookup(t, s, id); got.APIKey != "" || got.KeyID != "" || got.Status == store.Active {
		t.Errorf("got %v with key %q", got, got.APIKey)
	}
}

func TestStoreKeyDoesNotWaitForLocks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ setUp, lock string }{
		"profile":                            {"", `update public.profiles set id = id where id = $1`},
		"sign-in that copies to the profile": {pgserver.SyncUserTriggerSQL, `update auth.users set last_sign_in_at = now() where id = $1`},
		"ledger":                             {"", `select from coderhook.accounts where user_id = $1 for update`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			db.Script(t, c.setUp)
			s := db.Store(t)
			lease := newUser(t, db, s)
			db.Exec(t, `insert into public.profiles (id) values ($1)`, lease.UserID)
			tx := db.Begin(t)
			tx.Exec(t, c.lock, lease.UserID)

			start := time.Now()
			wantErr(t, s.StoreKey(t.Context(), lease, newKey()), store.ErrBusy) // with the lock still held
			if took := time.Since(start); took < 400*time.Millisecond {
				t.Errorf("gave up after %v, want 500 ms", took)
			}
			wantNothingStored(t, s, lease.UserID)
			tx.Exec(t, "commit")
			must(t, s.StoreKey(t.Context(), lease, newKey()))
		})
	}
}

// Behind a pooler the session is somebody else's next.
func TestStoreKeyLeavesTheSessionAsItWas(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := storetest.Open(t, store.Config{URL: db.RoleURL("coderhook"), MaxConns: 1})
	must(t, s.StoreKey(t.Context(), newUser(t, db, s), newKey()))
	if got, err := store.LockTimeout(t.Context(), s); got != "0" || err != nil {
		t.Errorf("lock_timeout is %s, %v", got, err)
	}
}

func TestStoreKeyForAUserOfAnOpenTransaction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		setUp string
		while error
		end   string
		then  error
	}{
		"committed":                       {"", store.ErrNoUser, "commit", nil},
		"rolled back":                     {"", store.ErrNoUser, "rollback", store.ErrNoUser},
		"committed, with a new profile":   {pgserver.NewUserTriggerSQL, store.ErrBusy, "commit", nil},
		"rolled back, with a new profile": {pgserver.NewUserTriggerSQL, store.ErrBusy, "rollback", store.ErrNoUser},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			db.Script(t, c.setUp)
			s := db.Store(t)
			lease := claimed(t, s, uuid.New(), "me")
			tx := db.Begin(t)
			tx.Exec(t, `insert into auth.users (id) values ($1)`, lease.UserID)

			wantErr(t, s.StoreKey(t.Context(), lease, newKey()), c.while)
			wantNothingStored(t, s, lease.UserID)
			tx.Exec(t, c.end)
			if err := s.StoreKey(t.Context(), lease, newKey()); c.then != nil {
				wantErr(t, err, c.then)
				wantNothingStored(t, s, lease.UserID)
			} else {
				must(t, err)
			}
		})
	}
}

func TestStoreKeyWhileTheProfileComesToBe(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	lease := newUser(t, db, s)
	tx := db.Begin(t)
	tx.Exec(t, `insert into public.profiles (id) values ($1)`, lease.UserID)
	stored := make(chan error)
	go func() { stored <- s.StoreKey(t.Context(), lease, newKey()) }()
	eventually(t, func() bool { return waiting(t, db) == 1 })
	tx.Exec(t, "commit")
	must(t, <-stored)
	if got := lookup(t, s, lease.UserID); got.APIKey != secret {
		t.Errorf("key %q", got.APIKey)
	}
}

// The lease has run out, but its owner is writing: whoever claims it then must
// see what was written.
func TestTheFenceHoldsUntilTheCommit(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	lease := newUser(t, db, s)
	db.Exec(t, `insert into public.profiles (id) values ($1)`, lease.UserID)
	must(t, s.Extend(t.Context(), lease, 0))
	tx := db.Begin(t)
	tx.Exec(t, `select from public.profiles where id = $1 for update`, lease.UserID)

	stored, claim := make(chan error, 1), make(chan error, 1)
	go func() { stored <- s.StoreKey(t.Context(), lease, newKey()) }()
	eventually(t, func() bool { return waiting(t, db) == 1 })
	heir := store.Lease{UserID: lease.UserID, Owner: "heir"}
	go func() { claim <- s.Claim(t.Context(), heir, ttl) }()
	eventually(t, func() bool { return waiting(t, db) == 2 || len(claim) == 1 })
	if len(claim) == 1 {
		t.Error("claimed under the hands of its owner")
	}
	tx.Exec(t, "commit")
	must(t, <-stored)
	must(t, <-claim)
	if got := lookup(t, s, lease.UserID); got.APIKey != secret || got.KeyID == "" {
		t.Errorf("the heir sees %v", got)
	}
}

func TestStoreKeyNamesTheRuleOfTheProfilesTable(t *testing.T) {
	t.Parallel()
	trigger := func(using string) string {
		return `create function refuse() returns trigger language plpgsql as $$
			begin raise exception 'no %', new.api_key ` + using + `; end $$;
			create trigger refuse before insert or update on public.profiles for each row execute function refuse()`
	}
	for name, c := range map[string]struct{ setUp, want string }{
		"not null":         {`alter table public.profiles add column team text not null default ''; alter table public.profiles alter team drop default`, `"team"`},
		"check":            {`alter table public.profiles add constraint short check (length(api_key) < 9)`, `"short"`},
		"unique":           {`create unique index one_key on public.profiles ((api_key is null))`, `"one_key"`},
		"too long":         {`alter table public.profiles alter api_key type varchar(9)`, `22001`},
		"trigger":          {trigger(""), `trigger`},
		"trigger in class": {trigger("using errcode = '42501'"), `42501`},
		"no right":         {`revoke all on public.profiles from coderhook; grant select (id, api_key) on public.profiles to coderhook`, `permission`},
		"no policy":        {`drop policy coderhook_insert on public.profiles`, `row level security`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			db.Exec(t, `insert into public.profiles (id, api_key) values ($1, 'old')`, db.AddUser(t, "old@example.com"))
			db.Script(t, c.setUp)
			s := db.Store(t)
			lease := newUser(t, db, s)
			err := s.StoreKey(t.Context(), lease, newKey())
			wantErr(t, err, store.ErrProfile)
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "0123456789") {
				t.Errorf("%v", err)
			}
			wantNothingStored(t, s, lease.UserID)
		})
	}
}
