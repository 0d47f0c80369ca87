package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
)

func byID(a, b store.AuthUser) bool { return a.ID.String() < b.ID.String() }

func TestAuthUsers(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	until, deleted := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	fine, banned, gone := db.AddUser(t, "fine@example.com"), db.AddUser(t, "banned@example.com"), uuid.New()
	forever, removed := db.AddUser(t, "forever@example.com"), db.AddUser(t, "removed@example.com")
	db.Exec(t, `update auth.users set banned_until = $2 where id = $1`, banned, until)
	db.Exec(t, `update auth.users set banned_until = 'infinity' where id = $1`, forever)
	db.Exec(t, `update auth.users set deleted_at = $2 where id = $1`, removed, deleted)
	want := []store.AuthUser{
		{ID: fine, Exists: true},
		{ID: gone},
		{ID: banned, Exists: true, BannedUntil: until},
		{ID: removed, Exists: true, DeletedAt: deleted},
		{ID: forever, Exists: true, BannedUntil: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)},
	}
	for _, params := range []string{"", "&pgbouncer=true", "&default_query_exec_mode=simple_protocol"} {
		s := storetest.Open(t, store.Config{URL: db.RoleURL("coderhook") + params + "&timezone=UTC"})
		got, err := s.AuthUsers(t.Context(), []uuid.UUID{fine, banned, gone, forever, removed})
		must(t, err)
		if diff := cmp.Diff(want, got, cmpopts.SortSlices(byID)); diff != "" {
			t.Errorf("%s: %s", params, diff)
		}
		if got, err := s.AuthUsers(t.Context(), nil); len(got) != 0 || err != nil {
			t.Errorf("%s: nobody asked for: %v, %v", params, got, err)
		}
	}
}

// To report a user as gone whom we may only not see would off-board a whole product.
func TestAuthUsersWouldRatherFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ setUp, want string }{
		"not ours to call": {`revoke execute on function coderhook.auth_users_state from coderhook`, "grant usage on schema coderhook, and execute on function"},
		"not its to read":  {`alter function coderhook.auth_users_state owner to authenticator`, "grant select on auth.users to authenticator"},
		"hidden by a policy": {
			`grant usage on schema auth to authenticator;
			 grant select on auth.users to authenticator;
			 alter function coderhook.auth_users_state owner to authenticator`, "alter role authenticator bypassrls",
		},
		"no such table": {`drop table auth.users cascade`, "auth.users"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			db.AddUser(t, "a@example.com")
			db.Script(t, c.setUp)
			users, err := db.Store(t).AuthUsers(t.Context(), []uuid.UUID{uuid.New()})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v and error %v, want one that says %q", users, err, c.want)
			}
		})
	}
}

func TestAuthUsersOfAnOldSupabase(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	id := db.AddUser(t, "a@example.com")
	db.Exec(t, `alter table auth.users drop column banned_until, drop column deleted_at`)
	got, err := db.Store(t).AuthUsers(t.Context(), []uuid.UUID{id})
	must(t, err)
	if diff := cmp.Diff([]store.AuthUser{{ID: id, Exists: true}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAddressConfirmed(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, id := db.Store(t), db.AddUser(t, "Ada@example.com")
	wants := func(user uuid.UUID, address string, want bool) {
		t.Helper()
		if got, err := s.AddressConfirmed(t.Context(), user, address); err != nil || got != want {
			t.Errorf("%s of %s: %t, %v", address, user, got, err)
		}
	}
	wants(id, "ada@example.com", false)
	tx := db.Begin(t)
	tx.Exec(t, `update auth.users set email_confirmed_at = now()`)
	wants(id, "ada@example.com", false)
	tx.Exec(t, "commit")
	wants(id, "ada@EXAMPLE.com", true)
	wants(id, "eve@example.com", false)
	wants(uuid.New(), "ada@example.com", false)
	db.Script(t, `alter table auth.users drop column email_confirmed_at`)
	wants(id, "ada@example.com", false)
	db.Script(t, `revoke execute on function coderhook.auth_address_confirmed from coderhook`)
	if _, err := s.AddressConfirmed(t.Context(), id, "ada@example.com"); err == nil {
		t.Error("without the right")
	}
}

// An answer about nobody, or about two, is none about the one who was asked for.
func TestOneAuthUser(t *testing.T) {
	t.Parallel()
	failed := errors.New("down")
	for name, test := range map[string]struct {
		found []store.AuthUser
		err   error
	}{"none": {}, "two": {found: make([]store.AuthUser, 2)}, "failed": {make([]store.AuthUser, 1), failed}} {
		if _, err := store.OneAuthUser(test.found, test.err); err == nil || test.err != nil && !errors.Is(err, failed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLivingSessions(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, ada := db.Store(t), db.AddUser(t, "ada@example.com")
	open, timed, over, signedOut := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	db.Exec(t, `insert into auth.sessions (id, user_id, not_after)
		values ($1, $4, null), ($2, $4, now() + interval '1 hour'), ($3, $4, now() - interval '1 second')`, open, timed, over, ada)
	wants := func(want ...uuid.UUID) {
		t.Helper()
		got, err := s.LivingSessions(t.Context(), []uuid.UUID{open, timed, over, signedOut})
		sortIDs := cmpopts.SortSlices(func(a, b uuid.UUID) bool { return a.String() < b.String() })
		if diff := cmp.Diff(want, got, sortIDs, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	wants(open, timed)
	db.Script(t, `alter table auth.sessions drop column not_after`)
	wants(open, timed, over)
	db.Exec(t, `delete from auth.users`)
	wants()
}

// Where it can't be known who has signed out, nobody is taken for one who has.
func TestLivingSessionsThatCanNotBeRead(t *testing.T) {
	t.Parallel()
	for name, setUp := range map[string]string{
		"no table":  `drop table auth.sessions`,
		"no schema": `drop schema auth cascade`,
		"no right":  `revoke select on auth.sessions from product_admin`,
		"rows hidden by policies": `grant usage on schema auth to authenticator; grant select on auth.sessions to authenticator;
			alter function coderhook.auth_sessions_living owner to authenticator`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			db.Script(t, setUp)
			if got, err := db.Store(t).LivingSessions(t.Context(), []uuid.UUID{uuid.New()}); !errors.Is(err, store.ErrNoSessions) {
				t.Errorf("got %v and error %v", got, err)
			}
		})
	}
}
