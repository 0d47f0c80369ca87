package store_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/go-cmp/cmp"
)

// released are the migrations of the last release, by their names: a copy that stays as it is until the next one.
func released(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/released/*.sql")
	must(t, err)
	files := make(map[string]string)
	for _, path := range paths {
		sql, err := os.ReadFile(path)
		must(t, err)
		files[filepath.Base(path)] = string(sql)
	}
	if len(files) == 0 {
		t.Fatal("there are none")
	}
	return files
}

// pushReleased applies them as the last release does.
func pushReleased(t *testing.T, db *storetest.DB) {
	t.Helper()
	files := released(t)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := storetest.RunScript(t.Context(), db.RoleURL(pgserver.ProductAdmin), files[name]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// A migration that was released is never changed, but for its comments: databases have it as it was.
func TestReleasedMigrationsStayAsTheyWere(t *testing.T) {
	t.Parallel()
	comment := regexp.MustCompile(`(?m)^--.*\n`)
	for name, was := range released(t) {
		is, err := os.ReadFile(filepath.Join("migrations", name))
		must(t, err)
		if diff := cmp.Diff(comment.ReplaceAllString(was, ""), comment.ReplaceAllString(string(is), "")); diff != "" {
			t.Errorf("%s was released; put what is new into a file of its own:\n%s", name, diff)
		}
	}
}

// The copy is the commit's.
func TestReleasedMigrationsAreTheCommits(t *testing.T) {
	t.Parallel()
	commit, err := os.ReadFile("testdata/released/commit")
	must(t, err)
	list, err := exec.CommandContext(t.Context(), "git", "ls-tree", "--name-only", strings.TrimSpace(string(commit)), "migrations/").Output()
	if err != nil {
		t.Skipf("the history of this copy does not go back to the last release, %s: git fetch --unshallow", commit)
	}
	files := released(t)
	if names := strings.Fields(string(list)); len(names) != len(files) {
		t.Errorf("%d files, the commit has %d", len(files), len(names))
	}
	for name, sql := range files {
		was, err := exec.CommandContext(t.Context(), "git", "show", strings.TrimSpace(string(commit))+":./migrations/"+name).Output()
		must(t, err)
		if string(was) != sql {
			t.Errorf("%s is not what the commit has", name)
		}
	}
}

// Who upgrades step by step has to know what may go on running.
func TestMigrationsSayWhatRunsBesideThem(t *testing.T) {
	t.Parallel()
	names, contents := files(t)
	for i, sql := range contents {
		head, _, _ := strings.Cut(sql, "\n\n")
		if !regexp.MustCompile(`(?m)^-- Beside it runs: every version(; [^\n]+)?\.$`).MatchString(head) {
			t.Errorf("%s: no line \"-- Beside it runs: every version.\" in its head: migrations only add", names[i])
		}
	}
}

// partsSQL lists what an older version works with: no upgrade may take or change any of it.
const partsSQL = `
select format('column %s.%s.%s %s%s', table_schema, table_name, column_name, data_type, case when is_nullable = 'NO' and column_default is null and is_identity = 'NO' then ' required' end)
  from information_schema.columns where table_schema in ('coderhook', 'public')
union all
select 'function ' || oid::regprocedure || ' ' || prorettype::regtype from pg_proc where pronamespace = 'coderhook'::regnamespace
union all
select format('right %s on %s.%s', privilege_type, table_schema, table_name) from information_schema.table_privileges where grantee = 'coderhook'
union all
select format('right %s on %s.%s.%s', privilege_type, table_schema, table_name, column_name) from information_schema.column_privileges where grantee = 'coderhook'
union all
select format('right to call %s', oid::regprocedure) from pg_proc where pronamespace = 'coderhook'::regnamespace and has_function_privilege('coderhook', oid, 'execute')
union all
select 'policy ' || polname from pg_policy
union all
select 'trigger ' || tgname from pg_trigger where not tgisinternal`

// requiredSQL lists columns that an older version, which does not know them, would have to fill.
const requiredSQL = `
select format('%s.%s', table_name, column_name) from information_schema.columns
 where table_schema = 'coderhook' and is_nullable = 'NO' and column_default is null and is_identity = 'NO'`

// A database of the last release, with users in it, is upgraded; whoever goes back applies the older files once more.
func TestTheReleasedSchemaIsUpgradedAndBack(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	pushReleased(t, db)
	was, required := storetest.QueryAll[string](t, db, partsSQL), storetest.QueryAll[string](t, db, requiredSQL)
	user := db.AddUser(t, "ada@example.com")
	db.Exec(t, `insert into public.profiles (id, api_key) values ($1, $2)`, user, secret)
	db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, coder_username, status, key_id) values ($1, gen_random_uuid(), 'ada', 'active', 'abcdefghij')`, user)
	db.Exec(t, `insert into coderhook.retired_keys values ('klmnopqrst', $1, gen_random_uuid(), now())`, user)
	wantAllThere := func(after string) {
		t.Helper()
		parts := storetest.QueryAll[string](t, db, partsSQL)
		for _, part := range was {
			if !slices.Contains(parts, part) {
				t.Errorf("%s: gone or changed: %s", after, part)
			}
		}
		for _, column := range storetest.QueryAll[string](t, db, requiredSQL) {
			table, _, _ := strings.Cut(column, ".")
			known := slices.ContainsFunc(was, func(part string) bool { return strings.HasPrefix(part, "column coderhook."+table+".") })
			if known && !slices.Contains(required, column) {
				t.Errorf("%s: an older version can't insert without %s", after, column)
			}
		}
		if got := lookup(t, db.Store(t), user); got.APIKey != secret || got.KeyID != "abcdefghij" {
			t.Errorf("%s: %v with key %q", after, got, got.APIKey)
		}
		if left, err := db.Store(t).Retired(t.Context(), user); err != nil || len(left) != 1 {
			t.Errorf("%s: %d keys are retired, %v", after, len(left), err)
		}
		wantWorking(t, db, store.Config{})
	}
	must(t, second(store.Migrate(t.Context(), store.Config{URL: db.RoleURL(pgserver.ProductAdmin)})))
	wantAllThere("upgraded")
	pushReleased(t, db)
	wantAllThere("back")
	must(t, second(store.Migrate(t.Context(), store.Config{URL: db.RoleURL(pgserver.ProductAdmin)})))
	wantAllThere("upgraded again")
}
