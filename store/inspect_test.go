package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/go-cmp/cmp"
)

func inspect(t *testing.T, cfg store.Config) *store.Inspector {
	t.Helper()
	i, err := store.Inspect(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, i.Close(t.Context())) })
	return i
}

// That a pooler gives each transaction another connection is seen, whatever the URL says of it.
func TestInspectSeesAPooler(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	direct, err := inspect(t, store.Config{URL: db.RoleURL("coderhook")}).Pooling(t.Context())
	must(t, err)
	if direct != (store.Pooling{}) {
		t.Errorf("without a pooler: %+v", direct)
	}
	pooler, err := pgserver.StartPooler(t.Context(), db.RoleURL("coderhook"), 5432)
	if errors.Is(err, pgserver.ErrNoPooler) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, pooler.Stop()) })
	url := pooler.URL(storetest.Query[string](t, db, `select current_database()`))
	for params, expected := range map[string]bool{"": false, "&pgbouncer=true": true, "&default_query_exec_mode=cache_statement": false} {
		got, err := inspect(t, store.Config{URL: url + params}).Pooling(t.Context())
		must(t, err)
		if want := (store.Pooling{PerTransaction: true, Expected: expected}); got != want {
			t.Errorf("with %q: %+v, want %+v", params, got, want)
		}
	}
}

// Rights that reach an API role by another role count; those that it would have to switch to do not.
// In a cluster of its own, as roles belong to the cluster.
func TestInspectFollowsInheritedRights(t *testing.T) {
	t.Parallel()
	server, err := pgserver.Start(t.Context(), pgserver.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })
	url := server.URL("postgres")
	must(t, pgserver.PrepareSupabase(t.Context(), url))
	must(t, second(store.Migrate(t.Context(), store.Config{URL: url})))
	must(t, storetest.RunScript(t.Context(), url, `
		create role staff nologin;
		alter role authenticated inherit;
		grant staff to authenticated, anon;
		grant select on public.profiles to staff;
		create policy staff on public.profiles for select to staff using (true);`))
	i := inspect(t, store.Config{URL: url})

	tables, err := i.KeyTables(t.Context(), nil)
	must(t, err)
	oid := tables[0].OID
	places := []store.Place{{OID: oid, ID: tables[0].ID, Keys: []int16{tables[0].Key}}}
	access, err := i.Access(t.Context(), places)
	must(t, err)
	if diff := cmp.Diff([]store.Access{{OID: oid, Role: "anon"}, {OID: oid, Role: "authenticated", Read: true}}, access); diff != "" {
		t.Error(diff)
	}
	grants, err := i.Grants(t.Context(), places)
	must(t, err)
	if !hasGrant(grants, store.Grant{OID: oid, Privilege: "SELECT", Grantee: "staff", Roles: []string{"authenticated"}}) {
		t.Errorf("got %+v", grants)
	}
	policies, err := i.Policies(t.Context(), places)
	must(t, err)
	for _, p := range policies {
		if p.Name == "staff" && cmp.Diff([]string{"authenticated"}, p.Roles) != "" || strings.HasPrefix(p.Name, "coderhook_s") && len(p.Roles) > 0 {
			t.Errorf("got %+v", p)
		}
	}
}

func hasGrant(grants []store.Grant, want store.Grant) bool {
	for _, g := range grants {
		if cmp.Equal(g, want) {
			return true
		}
	}
	return false
}

func TestInspectSaysWhoAnswers(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	got, err := inspect(t, store.Config{URL: db.RoleURL(pgserver.ProductAdmin)}).Server(t.Context())
	must(t, err)
	if got.Role != pgserver.ProductAdmin || got.Version == "" || got.Now.IsZero() || !got.IsSupabase {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff([]string{"bypassrls", "createrole", "createdb", "replication"}, got.Excess); diff != "" {
		t.Error(diff)
	}
	plain, err := inspect(t, store.Config{URL: storetest.Empty(t).URL}).Server(t.Context())
	must(t, err)
	if plain.IsSupabase || plain.Excess[0] != "superuser" {
		t.Errorf("got %+v", plain)
	}
}

func TestInspectNamesAsSQLDoes(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	db.Script(t, `create table public."My People" ("User Id" uuid unique, "key" text, "order" int not null);`)
	i := inspect(t, store.Config{URL: db.URL, ProfilesTable: "My People", ProfilesIDColumn: "User Id", ProfilesKeyColumn: "key"})
	got, err := i.Shape(t.Context())
	must(t, err)
	want := store.Table{
		Exists: true, Kind: "table", ID: `"User Id"`, IDType: "uuid", KeyType: "text", IDUnique: true,
		Required: []string{`"order"`}, Policies: true, Rights: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if i.Table() != `"public"."My People"` || i.ID() != `"User Id"` || i.Key() != `"key"` {
		t.Errorf("got %s %s %s", i.Table(), i.ID(), i.Key())
	}
}

func TestInspectRealtimeAndTriggers(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	i := inspect(t, store.Config{URL: db.RoleURL("coderhook")})
	db.Script(t, `create publication supabase_realtime for all tables;`+pgserver.NewUserTriggerSQL)
	realtime, err := i.Realtime(t.Context())
	must(t, err)
	if !realtime.Published || realtime.Directly {
		t.Errorf("got %+v", realtime)
	}
	triggers, err := i.Triggers(t.Context())
	must(t, err)
	if diff := cmp.Diff([]store.Trigger{{Name: "on_auth_user_created", Function: "handle_new_user"}}, triggers); diff != "" {
		t.Error(diff)
	}
	db.Script(t, `drop publication supabase_realtime; create publication supabase_realtime for table public.profiles (id);`)
	if realtime, err = i.Realtime(t.Context()); err != nil || realtime.Published || !realtime.Directly {
		t.Errorf("without the key's column: %+v, %v", realtime, err)
	}
}

func TestInspectReportsWhatItCannotReach(t *testing.T) {
	t.Parallel()
	for _, cfg := range []store.Config{{URL: "postgres://u:hunter2@127.0.0.1:1/x"}, {URL: ""}, {URL: "postgres://h/x", ProfilesTable: "a.b.c"}} {
		if _, err := store.Inspect(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestInspectSeesWhatIsMissing(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	i := inspect(t, store.Config{URL: db.RoleURL("coderhook")})
	got, err := i.Ledger(t.Context())
	must(t, err)
	if !got.Complete() || !got.Table || !got.Usable || !got.Member || len(got.OpenTo) > 0 {
		t.Errorf("as it should be: %+v", got)
	}
	db.Script(t, `drop table coderhook.tasks; alter table coderhook.accounts drop column linked; grant usage on schema coderhook to anon; grant select on coderhook.accounts to anon`)
	got, err = i.Ledger(t.Context())
	must(t, err)
	if diff := cmp.Diff([]string{"column coderhook.accounts.linked", "table coderhook.tasks"}, got.Missing); diff != "" || got.Complete() {
		t.Errorf("missing: %s", diff)
	}
	if diff := cmp.Diff([]string{"anon"}, got.OpenTo); diff != "" {
		t.Errorf("open to: %s", diff)
	}
}

// Views over views are found, and what each names of what it reads.
func TestInspectSeesViews(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.Script(t, `create view public.keys as select id, api_key from public.profiles;
		create view public.careful with (security_invoker = true) as select api_key from public.keys;
		create materialized view public.names as select id from public.profiles;
		create view public.others as select 1 as one`)
	i := inspect(t, store.Config{URL: db.RoleURL("coderhook")})
	tables, err := i.KeyTables(t.Context(), nil)
	must(t, err)
	views, err := i.Views(t.Context(), []int64{tables[0].OID})
	must(t, err)
	var got []string
	for _, v := range views {
		got = append(got, fmt.Sprint(v.Name+" ", v.Invoker, v.Materialized, v.Columns, v.FromColumns, v.Key))
	}
	want := []string{"public.careful true false [api_key] [2] 1", "public.keys false false [id api_key] [1 2] 2", "public.names false true [id] [1] 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What holds rows of the table, at any depth and on both sides of it.
func TestInspectSeesTheTablesKin(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	db.Script(t, `create table public.everybody (id uuid, api_key text, region text, grade text) partition by list (region);
		create table public.profiles partition of public.everybody for values in ('eu', 'us') partition by list (region);
		create schema hidden;
		create table hidden.eu partition of public.profiles for values in ('eu') partition by list (grade);
		create table public.eu_a partition of hidden.eu default;
		create table public.asia partition of public.everybody default;
		create table public.log (line jsonb)`)
	tables, err := inspect(t, store.Config{URL: db.URL}).KeyTables(t.Context(), []store.TableName{{Table: "log"}, {Schema: "public", Table: "eu_a"}, {Schema: "no", Table: "where"}})
	must(t, err)
	var got []string
	for _, k := range tables {
		got = append(got, k.Name+" "+string(k.Kind))
	}
	want := []string{"public.profiles profiles", "hidden.eu child", "public.eu_a child", "public.everybody parent", "public.log copy"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What can be no table of keys, before anything is changed.
func TestMigrateRefusesWhatHoldsNoRows(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`create table public.people (id uuid primary key, api_key text); create view public.profiles as select * from public.people`:              "public\".\"profiles\" is a view; name in PROFILES_TABLE the table",
		`create table public.people (id uuid primary key, api_key text); create materialized view public.profiles as select * from public.people`: "is a materialized view; name",
		`create table public.profiles (id uuid primary key, name text, api_key text generated always as (name || 'x') stored)`:                    "name another in PROFILES_KEY_COLUMN",
	} {
		db := storetest.Bare(t)
		db.Script(t, script)
		_, err := store.Migrate(t.Context(), store.Config{URL: db.URL})
		if !errors.Is(err, store.ErrUnusable) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if storetest.Query[bool](t, db, `select to_regnamespace('coderhook') is not null`) {
			t.Error("something was made")
		}
	}
}

func TestInspectSeesTheWire(t *testing.T) {
	t.Parallel()
	i := inspect(t, store.Config{URL: storetest.New(t).RoleURL("coderhook")})
	if encrypted, local := i.Wire(); os.Getenv("TEST_DATABASE_URL") == "" && (encrypted || !local) {
		t.Errorf("of our own server on this machine: encrypted %t, local %t", encrypted, local)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.Ledger(ctx); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "inspect ledger") {
		t.Errorf("%v", err)
	}
}
