package store_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/go-cmp/cmp"
)

// files are the migrations as the Supabase CLI finds them.
func files(t *testing.T) (names, contents []string) {
	t.Helper()
	paths, err := filepath.Glob("migrations/*.sql")
	must(t, err)
	for _, path := range paths {
		sql, err := os.ReadFile(path)
		must(t, err)
		names, contents = append(names, filepath.Base(path)), append(contents, string(sql))
	}
	return names, contents
}

// push applies the files as `supabase db push` does: each in a transaction of its own.
func push(t *testing.T, url string) error {
	t.Helper()
	_, contents := files(t)
	for _, sql := range contents {
		if err := storetest.RunScript(t.Context(), url, sql); err != nil {
			return err
		}
	}
	return nil
}

// wantWorking sends a key through the whole database, as the role coderhook.
func wantWorking(t *testing.T, db *storetest.DB, cfg store.Config) {
	t.Helper()
	cfg.URL = db.RoleURL("coderhook")
	s := storetest.Open(t, cfg)
	lease := newUser(t, db, s)
	must(t, s.StoreKey(t.Context(), lease, newKey()))
	if got := lookup(t, s, lease.UserID); got.APIKey != secret || got.KeyID == "" {
		t.Errorf("got %v with key %q", got, got.APIKey)
	}
}

// Both are applied by either, in any order, and one can repeat what the other did.
func TestMigrateAndPush(t *testing.T) {
	t.Parallel()
	migrate := func(t *testing.T, url string) error {
		return second(store.Migrate(t.Context(), store.Config{URL: url}))
	}
	for name, c := range map[string]struct {
		role  string
		steps []func(*testing.T, string) error
	}{
		"migrate as superuser": {"", []func(*testing.T, string) error{migrate, migrate}},
		"migrate as admin":     {pgserver.ProductAdmin, []func(*testing.T, string) error{migrate, migrate}},
		"push as admin":        {pgserver.ProductAdmin, []func(*testing.T, string) error{push, push}},
		"migrate, then push":   {pgserver.ProductAdmin, []func(*testing.T, string) error{migrate, push}},
		"push, then migrate":   {pgserver.ProductAdmin, []func(*testing.T, string) error{push, migrate}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Bare(t)
			url := db.URL
			if c.role != "" {
				url = db.RoleURL(c.role)
			}
			for _, step := range c.steps {
				must(t, step(t, url))
			}
			wantWorking(t, db, store.Config{})
			must(t, migrate(t, db.RoleURL("coderhook"))) // nothing is left to do, so no rights are needed
			wantWorking(t, db, store.Config{})
		})
	}
}

func TestMigrateReportsWhatItDid(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	cfg := store.Config{URL: db.RoleURL(pgserver.ProductAdmin)}
	names, _ := files(t)
	got, err := store.Migrate(t.Context(), cfg)
	must(t, err)
	got.NewRole = false // another test's database may have needed it first
	for _, want := range []string{"the policy coderhook_update on public.profiles", "the table coderhook.tasks", "the function coderhook.auth_user_ids", "the column coderhook.accounts.linked"} {
		if !slices.Contains(got.Added, want) || got.Given == 0 || got.Taken != 0 {
			t.Errorf("%s is not in %+v", want, got)
		}
	}
	got.Added, got.Given = nil, 0
	if diff := cmp.Diff(store.Migration{Files: names, Watched: true, NewLedger: true, NewProfiles: true, NewKeyColumn: true}, got); diff != "" {
		t.Error(diff)
	}
	got, err = store.Migrate(t.Context(), cfg)
	must(t, err)
	if diff := cmp.Diff(store.Migration{Files: names, Watched: true}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			url := db.RoleURL(pgserver.ProductAdmin)
			if i%4 == 3 {
				if err := push(t, url); err != nil {
					t.Error("push:", err)
				}
				return
			}
			if _, err := store.Migrate(t.Context(), store.Config{URL: url}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantWorking(t, db, store.Config{})
}

// A failed migration leaves nothing behind, and says what to do.
func TestMigrateIsOneTransaction(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	_, err := store.Migrate(t.Context(), store.Config{URL: db.URL, ProfilesTable: "app.people"})
	if err == nil || !strings.Contains(err.Error(), "app.people does not exist") || !strings.Contains(err.Error(), "PROFILES_TABLE") {
		t.Errorf("got %v", err)
	}
	if storetest.Query[bool](t, db, `select to_regnamespace('coderhook') is not null`) {
		t.Error("the ledger was made")
	}
}

func TestMigrateAdoptsTheProductsTable(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	db.Script(t, `
		set role product_admin;
		create table public.profiles (id uuid primary key references auth.users (id), name text default 'x');
		alter table public.profiles enable row level security;
		create policy mine on public.profiles for all using (auth.uid() = id);`)
	const grants = `select relacl::text from pg_class where oid = 'public.profiles'::regclass`
	before := strings.Trim(storetest.Query[string](t, db, grants), "{}")
	got, err := store.Migrate(t.Context(), store.Config{URL: db.RoleURL(pgserver.ProductAdmin)})
	must(t, err)
	if got.NewProfiles || !got.NewKeyColumn {
		t.Errorf("got %+v", got)
	}
	if after := strings.Trim(storetest.Query[string](t, db, grants), "{}"); after != before {
		t.Errorf("grants were %s, and are %s", before, after)
	}
	wantWorking(t, db, store.Config{})
}

func TestMigrateWithTheProductsOwnNames(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]store.Config{
		"plain":         {ProfilesTable: "app.people", ProfilesIDColumn: "user_id", ProfilesKeyColumn: "coder_key"},
		"no schema":     {ProfilesTable: "people"},
		"odd":           {ProfilesTable: `My App.User"s %I $1`, ProfilesIDColumn: `ID; drop table x --`, ProfilesKeyColumn: `käy'"\`},
		"reserved":      {ProfilesTable: `select.table`, ProfilesIDColumn: `from`, ProfilesKeyColumn: `where`},
		"our own marks": {ProfilesTable: `app.{id}`, ProfilesIDColumn: `{key}`, ProfilesKeyColumn: `{table}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Bare(t)
			schema, table, found := strings.Cut(cfg.ProfilesTable, ".")
			if !found {
				schema, table = "public", cfg.ProfilesTable
			}
			id := "id"
			if cfg.ProfilesIDColumn != "" {
				id = cfg.ProfilesIDColumn
			}
			quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
			db.Script(t, `set role product_admin; create schema if not exists `+quote(schema)+`;
				create table `+quote(schema)+`.`+quote(table)+` (`+quote(id)+` uuid primary key references auth.users (id) on delete cascade);
				alter table `+quote(schema)+`.`+quote(table)+` enable row level security;`)
			cfg.URL = db.RoleURL(pgserver.ProductAdmin)
			for range 2 {
				must(t, second(store.Migrate(t.Context(), cfg)))
			}
			wantWorking(t, db, cfg)
			if storetest.Query[bool](t, db, `select to_regclass('public.profiles') is not null`) {
				t.Error("public.profiles was made as well")
			}
		})
	}
}

func TestMigrateRefusesATableWithoutUserIDs(t *testing.T) {
	t.Parallel()
	for create, want := range map[string]string{
		`create table public.profiles (id bigint primary key)`:    "is bigint, not the uuid",
		`create table public.profiles (user_id uuid primary key)`: "is missing, not the uuid",
	} {
		db := storetest.Bare(t)
		db.Exec(t, create)
		_, err := store.Migrate(t.Context(), store.Config{URL: db.URL})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "PROFILES_ID_COLUMN") {
			t.Errorf("%s: %v", create, err)
		}
	}
}

// A cluster of its own, as roles belong to the cluster: none of Supabase's is
// there, and four databases want to make ours at once.
func TestMigratePlainPostgres(t *testing.T) {
	t.Parallel()
	server, err := pgserver.Start(t.Context(), pgserver.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })
	databases := []string{"a", "b", "c", "d"}
	for _, name := range databases {
		must(t, storetest.RunScript(t.Context(), server.URL("postgres"), "create database "+name))
	}
	var wg sync.WaitGroup
	for _, name := range databases {
		wg.Go(func() {
			if _, err := store.Migrate(t.Context(), store.Config{URL: server.URL(name)}); err != nil {
				t.Errorf("database %s: %v", name, err)
			}
		})
	}
	wg.Wait()
	s := storetest.Open(t, store.Config{URL: server.URL("a")})
	lease := claimed(t, s, [16]byte{1}, "me")
	must(t, s.StoreKey(t.Context(), lease, newKey())) // no auth.users, so no foreign key
	_, err = s.AuthUsers(t.Context(), nil)
	wantErr(t, err, store.ErrNotMigrated)
}
