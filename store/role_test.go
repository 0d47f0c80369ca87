package store_test

import (
	"errors"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// refused reports whether the role may not run the statement at all.
func refused(t *testing.T, db *storetest.DB, role, sql string) bool {
	t.Helper()
	err := storetest.RunScript(t.Context(), db.URL, "set role "+role+";"+sql)
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	return ok && pg.Code == "42501"
}

func TestTheRoleCanDoNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.Exec(t, `alter table public.profiles add column address text`)
	for sql, want := range map[string]bool{
		`select id, api_key from public.profiles`:                     false,
		`update public.profiles set api_key = 'x'`:                    false,
		`select * from coderhook.accounts`:                            false,
		`select * from coderhook.auth_users_state('{}')`:              false,
		`select * from coderhook.retired_keys`:                        false,
		`update coderhook.tasks set name = name`:                      false,
		`select * from coderhook.audit`:                               false,
		`delete from coderhook.audit`:                                 true,
		`update coderhook.audit set actor = actor`:                    true,
		`select address from public.profiles`:                         true,
		`select * from public.profiles`:                               true,
		`update public.profiles set id = id`:                          true,
		`update public.profiles set address = ''`:                     true,
		`delete from public.profiles`:                                 true,
		`truncate public.profiles`:                                    true,
		`insert into public.profiles (id, address) values (null, '')`: true,
		`alter table public.profiles add column x text`:               true,
		`create table coderhook.x ()`:                                 true,
		`drop table coderhook.accounts`:                               true,
		`select id from auth.users`:                                   true,
		`select coderhook.auth_sessions_living('{}')`:                 false,
		`select id from auth.sessions`:                                true,
	} {
		if refused(t, db, "coderhook", sql) != want {
			t.Errorf("refused is not %v: %s", want, sql)
		}
	}
}

func TestTheDataAPICannotReadKeys(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	for _, role := range []string{"anon", "authenticated"} {
		for _, sql := range []string{
			`select api_key from public.profiles`, `select * from public.profiles`,
			`update public.profiles set api_key = ''`, `insert into public.profiles (id, api_key) values (null, '')`,
			`insert into public.profiles (id) values (null)`, `delete from public.profiles`,
			`select from coderhook.accounts`, `select coderhook.auth_users_state('{}')`,
			`select from coderhook.retired_keys`, `select from coderhook.tasks`, `select from coderhook.audit`,
			`select coderhook.auth_sessions_living('{}')`,
		} {
			if !refused(t, db, role, sql) {
				t.Errorf("as %s: %s", role, sql)
			}
		}
	}
	if !refused(t, db, "anon", `select id from public.profiles`) {
		t.Error("anon reads profiles")
	}
	if !refused(t, db, "service_role", `select from coderhook.accounts`) || !refused(t, db, "service_role", `select coderhook.auth_users_state('{}')`) {
		t.Error("the Data API's service role reads the ledger")
	}
}

func TestUsersSeeTheirOwnProfileOnly(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	me, other := db.AddUser(t, "me@example.com"), db.AddUser(t, "other@example.com")
	db.Exec(t, `insert into public.profiles (id) values ($1), ($2)`, me, other)
	tx := db.Begin(t)
	tx.Exec(t, `select set_config('request.jwt.claims', json_build_object('sub', $1::text)::text, true)`, me.String())
	tx.Exec(t, `set local role authenticated`)
	if diff := cmp.Diff([]uuid.UUID{me}, storetest.TxQuery[uuid.UUID](t, tx, `select id from public.profiles`)); diff != "" {
		t.Error(diff)
	}
}

// Whoever applies the migrations ends with the same rights on every table and function.
func TestRightsDoNotDependOnWhoMigrates(t *testing.T) {
	t.Parallel()
	const rights = `
		select table_schema || '.' || table_name || ' ' || coalesce(column_name, '') || ' ' || privilege_type
		  from (select table_schema, table_name, null as column_name, privilege_type, grantee from information_schema.table_privileges
		        union all select table_schema, table_name, column_name, privilege_type, grantee from information_schema.column_privileges) as r
		 where grantee in ('coderhook', 'anon', 'authenticated', 'PUBLIC') and (table_schema = 'coderhook' or table_name = 'profiles')
		 order by 1`
	byAdmin, bySuperuser := storetest.New(t), storetest.Bare(t)
	_, err := store.Migrate(t.Context(), store.Config{URL: bySuperuser.URL})
	must(t, err)
	want := storetest.QueryAll[string](t, byAdmin, rights)
	if len(want) == 0 {
		t.Fatal("nobody has any rights")
	}
	if diff := cmp.Diff(want, storetest.QueryAll[string](t, bySuperuser, rights)); diff != "" {
		t.Error(diff)
	}
}
