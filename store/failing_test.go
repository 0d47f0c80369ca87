package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// A call that fails says what it was about, keeps the cause, and tells no key.
func TestErrorsNameTheOperation(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store(t)
	id, lease := uuid.New(), store.Lease{UserID: uuid.New(), Owner: "me"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for want, call := range map[string]func() error{
		"look up account":    func() error { return second(s.Lookup(ctx, id)) },
		"look up owner":      func() error { return second(s.OwnerOf(ctx, id)) },
		"claim lease":        func() error { return s.Claim(ctx, lease, ttl) },
		"store key":          func() error { return s.StoreKey(ctx, lease, newKey()) },
		"adopt key":          func() error { return s.Adopt(ctx, store.Adoption{UserID: id, Key: newKey()}) },
		"refuse unknown key": func() error { return s.RefuseUnknownKey(ctx, id, "abcdefghij", noon, "x") },
		"record token life":  func() error { return s.RecordTokenLife(ctx, id, time.Hour) },
		"retire key":         func() error { return s.Retire(ctx, store.Retired{KeyID: "abcdefghij"}) },
		"read retired keys":  func() error { return second(s.Retired(ctx, id)) },
		"forget retired key": func() error { return s.ForgetRetired(ctx, "abcdefghij") },
		"release task":       func() error { return s.ReleaseTask(ctx, store.Task{Name: "t", Owner: "me"}, noon) },
		"read page":          func() error { return second(s.Page(ctx, id, 1)) },
		"find auth users":    func() error { return second(s.AuthUserIDs(ctx, "ada@example.com")) },
		"count accounts":     func() error { return second(s.Census(ctx, noon)) },
		"link":               func() error { return s.Link(ctx, lease, store.Link{}, noon) },
	} {
		err := call()
		if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), secret[11:]) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// What the product's table lacks is named; of what the server says beside it nothing is repeated.
func TestStoreKeyInATableThatHasChanged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change, want string
		ofProfile    bool
	}{
		"no table":  {`drop table public.profiles`, "table does not exist", true},
		"no column": {`alter table public.profiles rename column api_key to key`, "column does not exist", true},
		"a fault": {`create function fail() returns trigger language plpgsql as $$ begin raise exception '%', new.api_key using errcode = 'XX000'; end $$;
			create trigger fail before insert on public.profiles for each row execute function fail()`, "SQLSTATE XX000", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			s := db.Store(t)
			lease := newUser(t, db, s)
			db.Script(t, c.change)
			err := s.StoreKey(t.Context(), lease, newKey())
			if err == nil || errors.Is(err, store.ErrProfile) != c.ofProfile || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret[11:]) {
				t.Errorf("%v", err)
			}
			if n := storetest.Query[int](t, db, `select count(*) from coderhook.accounts where key_id is not null`); n > 0 {
				t.Error("half of it was stored")
			}
		})
	}
}

func TestNoDatabaseOfThatName(t *testing.T) {
	t.Parallel()
	url := storetest.New(t).RoleURL("coderhook")
	database, query, _ := strings.Cut(url, "?")
	s := storetest.Open(t, store.Config{URL: database + "_elsewhere?" + query})
	if err := s.Ping(t.Context()); store.ConnectFaultOf(err) != store.NoDatabase {
		t.Errorf("%v", err)
	}
}

// The configuration's faults are known without a database.
func TestChecksOfTheConfiguration(t *testing.T) {
	t.Parallel()
	good := store.Config{URL: "postgres://u:p@localhost/db", ProfilesTable: "app.people"}
	must(t, errors.Join(good.CheckNames(), good.CheckURL()))
	bad := store.Config{URL: "postgres://u:hidden@%zz/db", ProfilesTable: "a.b.c", ProfilesKeyColumn: "id"}
	if err := bad.CheckNames(); err == nil || !strings.Contains(err.Error(), "profiles table") {
		t.Errorf("names: %v", err)
	}
	if err := bad.CheckURL(); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("URL: %v", err)
	}
}

func TestRetiredKeysAreRememberedUntilForgotten(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), storetest.New(t).Store(t)
	key := store.Retired{KeyID: "abcdefghij", UserID: uuid.New(), CoderUserID: uuid.New(), Until: noon}
	later := key
	later.Until = noon.Add(time.Hour)
	must(t, s.Retire(ctx, key))
	must(t, s.Retire(ctx, later)) // again: the first counts
	got, err := s.Retired(ctx, key.UserID)
	must(t, err)
	if len(got) != 1 || got[0].KeyID != key.KeyID || got[0].CoderUserID != key.CoderUserID || !got[0].Until.Equal(noon) {
		t.Errorf("got %+v", got)
	}
	must(t, s.ForgetRetired(ctx, key.KeyID))
	if got, err := s.Retired(ctx, key.UserID); err != nil || len(got) > 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPoolStats(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store(t)
	must(t, s.Ping(t.Context()))
	if got := s.PoolStats(); got.Max < 1 || got.Idle+got.InUse < 1 || got.Idle+got.InUse > got.Max {
		t.Errorf("got %+v", got)
	}
}

func TestAuthUserIDs(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	ada := db.AddUser(t, "ada@example.com")
	db.AddUser(t, "bob@example.com")
	for email, want := range map[string]int{"ADA@example.com": 1, "ada@example.com": 1, "eve@example.com": 0, "ada": 0} {
		ids, err := s.AuthUserIDs(t.Context(), email)
		if err != nil || len(ids) != want || want == 1 && ids[0] != ada {
			t.Errorf("%s: %v, %v", email, ids, err)
		}
	}
}
