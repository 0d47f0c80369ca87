package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/go-cmp/cmp"
)

// deployment is one that doctor looks at.
type deployment struct {
	db        *storetest.DB
	coder     *codertest.Server
	variables map[string]string
	url       string
}

func randomSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return "v1,whsec_" + base64.StdEncoding.EncodeToString(key)
}

func newDeployment(t *testing.T, coder *codertest.Server) *deployment {
	t.Helper()
	t.Cleanup(coder.Close)
	coder.AddToken("owner", "long", 6*24*time.Hour)
	db := storetest.New(t)
	return &deployment{db: db, coder: coder, variables: map[string]string{
		"DATABASE_URL": db.RoleURL("coderhook"), secretsVariable: randomSecret(),
		"CODER_URL": coder.URL, "CODER_OWNER_TOKEN": coder.OwnerToken,
	}}
}

// doctor runs the command and returns what is not ok.
func (w *deployment) doctor(t *testing.T) []finding {
	t.Helper()
	args := []string{"doctor", "--json"}
	if w.url != "" {
		args = append(args, "--url", w.url)
	}
	var out strings.Builder
	err := run(t.Context(), args, func(name string) string { return w.variables[name] }, &out, &out)
	var report struct {
		Failures, Warnings int
		Checks             []finding
	}
	if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
		t.Fatalf("%v, in %s", err, out.String())
	}
	for _, name := range []string{secretsVariable, "CODER_OWNER_TOKEN"} {
		if secret := w.variables[name]; len(secret) > 20 && strings.Contains(out.String(), secret[12:]) {
			t.Errorf("%s is printed", name)
		}
	}
	if errors.Is(err, errReported) != (report.Failures > 0) {
		t.Errorf("%d failures, and it ended with %v", report.Failures, err)
	}
	return slices.DeleteFunc(report.Checks, func(f finding) bool { return f.Result == fine })
}

// results are what a test expects, "failure CHECK".
func results(findings []finding) (all []string) {
	for _, f := range findings {
		all = append(all, string(f.Result)+" "+f.Check)
	}
	return all
}

// follow does what the cures say.
func (w *deployment) follow(t *testing.T, findings []finding) {
	t.Helper()
	for _, f := range findings {
		if f.SQL != "" {
			if err := storetest.RunScript(t.Context(), w.db.RoleURL(pgserver.ProductAdmin), f.SQL); err != nil {
				t.Errorf("%v, in the cure of %q:\n%s", err, f.Found, f.SQL)
			}
		}
		if strings.Contains(f.Cure, "coderhook migrate") {
			if _, err := store.Migrate(t.Context(), store.Config{URL: w.db.RoleURL(pgserver.ProductAdmin)}); err != nil {
				t.Errorf("%v, in the cure of %q", err, f.Found)
			}
		}
		if _, setting, ok := strings.Cut(f.Cure, "set "); ok {
			if name, value, ok := strings.Cut(setting, "="); ok && strings.ToUpper(name) == name {
				w.variables[name], _, _ = strings.Cut(value, " ")
			}
		}
	}
}

func wantResults(t *testing.T, findings []finding, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, results(findings)); diff != "" {
		t.Errorf("%s\nfound: %+v", diff, findings)
	}
	for _, f := range findings {
		if f.Cure == "" {
			t.Errorf("no cure of %q", f.Found)
		}
	}
}

func TestDoctorFindsNothingWhereAllIsWell(t *testing.T) {
	t.Parallel()
	for _, profile := range []codertest.Profile{codertest.Profile2023, codertest.ProfileV231, codertest.ProfileNew} {
		w := newDeployment(t, codertest.Start(profile))
		w.url = startServe(t, w.db, w.coder, secretsVariable+"="+w.variables[secretsVariable]).url
		wantResults(t, w.doctor(t))
		if n := storetest.Query[int](t, w.db, `select (select count(*) from public.profiles) + (select count(*) from coderhook.accounts)`); n+len(w.coder.Users()) != 0 {
			t.Errorf("%s: doctor made something", profile)
		}
	}
}

// A product's own table with Supabase's usual grants, policies and trigger.
func TestDoctorOnAUsualProduct(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, codertest.Start(codertest.ProfileNew))
	w.db = storetest.Bare(t)
	w.variables["DATABASE_URL"] = w.db.RoleURL("coderhook")
	w.db.Script(t, `set role product_admin;
		create table public.profiles (id uuid primary key references auth.users (id) on delete cascade, "Full Name" text not null);
		alter table public.profiles enable row level security;
		create policy "Public profiles are viewable by everyone." on public.profiles for select using (true);
		create policy "Users can insert their own profile." on public.profiles for insert with check ((select auth.uid()) = id);
		create policy "Users can update own profile." on public.profiles for update using ((select auth.uid()) = id);
		reset role;`+pgserver.NewUserTriggerSQL)
	if _, err := store.Migrate(t.Context(), store.Config{URL: w.db.RoleURL(pgserver.ProductAdmin)}); err != nil {
		t.Fatal(err)
	}
	found := w.doctor(t)
	wantResults(t, found, "failure keys, read by anon", "failure keys, read by authenticated", "failure keys, written by authenticated")
	w.follow(t, found)
	wantResults(t, w.doctor(t))
	const rights = `select has_column_privilege('authenticated', 'public.profiles', 'Full Name', p) from unnest(array['select', 'insert', 'update']) p`
	if got := storetest.QueryAll[bool](t, w.db, rights); slices.Contains(got, false) {
		t.Errorf("the cure took rights on other columns too: %v", got)
	}
}

func TestDoctorFindsWhatIsWrongWithTheDatabase(t *testing.T) {
	t.Parallel()
	const read, write = "keys, read by authenticated", "keys, written by authenticated"
	for name, test := range map[string]struct {
		broken string
		want   []string
	}{
		"everybody's key, by policy": {
			`grant select on public.profiles to authenticated; create policy p on public.profiles for select using (true)`,
			[]string{"failure " + read},
		},
		"everybody's key, by public": {
			`create function auth.role() returns text language sql as 'select null::text';
			 grant select on public.profiles to public; create policy p on public.profiles using ((select auth.role()) = 'authenticated')`,
			[]string{"failure keys, read by anon", "failure " + read},
		},
		"everybody's key, without policies": {
			`grant select on public.profiles to anon; alter table public.profiles disable row level security`,
			[]string{"failure keys, read by anon"},
		},
		"own key, read": {`grant select (api_key) on public.profiles to authenticated`, []string{"warning " + read}},
		"own key, written": {
			`grant update on public.profiles to authenticated; create policy p on public.profiles for update using (auth.uid() = id)`,
			[]string{"failure " + write},
		},
		"own key, inserted": {
			`grant insert on public.profiles to authenticated; create policy p on public.profiles for insert to authenticated with check (id = auth.uid())`,
			[]string{"failure " + write},
		},
		"own key, by column": {
			`grant select (api_key), update (api_key) on public.profiles to authenticated; create policy p on public.profiles using (auth.uid() = id)`,
			[]string{"warning " + read, "failure " + write},
		},
		"key, given away with its row": {
			`grant update (id) on public.profiles to authenticated; create policy p on public.profiles for update using (true)`,
			[]string{"failure " + write},
		},
		"a rule that nobody can judge": {
			`create function public.f(uuid) returns bool language sql as 'select true'; grant select on public.profiles to authenticated;
			 drop policy coderhook_own_row on public.profiles; create policy p on public.profiles for select using (public.f(id))`,
			[]string{"warning " + read},
		},
		"view": {
			`create view public.people as select * from public.profiles; grant select on public.people to anon; alter view public.people owner to product_admin`,
			[]string{"failure views of the keys"},
		},
		"materialized view": {
			`create materialized view public.people as select * from public.profiles; grant select on public.people to authenticated; alter materialized view public.people owner to product_admin`,
			[]string{"failure views of the keys"},
		},
		"realtime": {
			`create publication supabase_realtime for table public.profiles; alter publication supabase_realtime owner to product_admin`,
			[]string{"warning realtime"},
		},
		"realtime's claims": {
			`create schema realtime authorization product_admin; create table realtime.subscription (claims jsonb); alter table realtime.subscription owner to product_admin;
			 grant usage on schema realtime to anon, authenticated; grant select on realtime.subscription to authenticated`,
			[]string{"warning realtime.subscription"},
		},
		"no foreign key":             {`alter table public.profiles drop constraint profiles_id_fkey`, []string{"warning foreign key"}},
		"foreign key, no cascade":    {`alter table public.profiles drop constraint profiles_id_fkey, add constraint "My Key" foreign key (id) references auth.users (id)`, []string{"warning foreign key"}},
		"short key column":           {`alter table public.profiles alter api_key type varchar(20)`, []string{"failure profiles table"}},
		"no key column":              {`alter table public.profiles drop api_key`, []string{"failure profiles table"}},
		"no table":                   {`drop table public.profiles`, []string{"failure profiles table"}},
		"ids not unique":             {`alter table public.profiles drop constraint profiles_pkey`, []string{"failure profiles table"}},
		"a column without a default": {`alter table public.profiles add "Nick" text not null, add plan text not null`, []string{"failure profiles table"}},
		"no policy for the server":   {`drop policy coderhook_update on public.profiles`, []string{"failure profiles table"}},
		"no rights for the server":   {`revoke update (api_key) on public.profiles from coderhook`, []string{"failure profiles table"}},
		"no ledger":                  {`drop schema coderhook cascade; do $$ begin execute format('grant create on database %I to product_admin', current_database()); end $$`, []string{"failure migrations"}},
		"no function":                {`drop function coderhook.auth_users_state`, []string{"failure migrations"}},
		"no rights on the ledger":    {`revoke insert on coderhook.accounts from coderhook`, []string{"failure migrations"}},
		"open ledger":                {`grant usage on schema coderhook to authenticated; grant select on coderhook.accounts to authenticated`, []string{"failure migrations"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newDeployment(t, codertest.Start(codertest.ProfileV231))
			w.db.Script(t, test.broken)
			found := w.doctor(t)
			wantResults(t, found, test.want...)
			w.follow(t, found)
			wantResults(t, w.doctor(t))
		})
	}
}

func TestDoctorFindsWhatIsWrongWithVariables(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set, value string
		want, cure string
	}{
		"no database":      {"DATABASE_URL", "", "failure variable DATABASE_URL", "set it to the project's Postgres"},
		"dead database":    {"DATABASE_URL", "postgres://coderhook@127.0.0.1:1/postgres", "failure database", "DATABASE_URL"},
		"wrong table":      {"PROFILES_TABLE", "public.people", "failure profiles table", "PROFILES_TABLE"},
		"wrong column":     {"PROFILES_ID_COLUMN", "user_id", "failure profiles table", "PROFILES_ID_COLUMN"},
		"odd table":        {"PROFILES_TABLE", "a.b.c", "failure database", "PROFILES_TABLE"},
		"weak secret":      {secretsVariable, "v1,whsec_c2hvcnQ=", "failure variable " + secretsVariable, "openssl rand -base64 32"},
		"secret of text":   {secretsVariable, goodSecret, "warning hook secrets", "openssl rand -base64 32"},
		"secret of zeros":  {secretsVariable, "v1,whsec_" + strings.Repeat("AAAAAAAB", 6), "warning hook secrets", "openssl rand -base64 32"},
		"long deadline":    {"HOOK_DEADLINE", "9s", "failure variable HOOK_DEADLINE", "set 4s or less"},
		"no Coder":         {"CODER_URL", "", "failure variable CODER_URL", "set it to Coder's address"},
		"dead Coder":       {"CODER_URL", "http://127.0.0.1:1", "failure Coder", "CODER_URL"},
		"another server":   {"CODER_URL", "ftp://x", "failure variable CODER_URL", ""},
		"no token":         {"CODER_OWNER_TOKEN", "", "failure variable CODER_OWNER_TOKEN", "coder tokens create"},
		"dead token":       {"CODER_OWNER_TOKEN", goodToken, "failure owner's token", "coder tokens create"},
		"no organization":  {"CODER_ORGANIZATION", "nowhere", "failure organization", "CODER_ORGANIZATION"},
		"short JWT secret": {"SUPABASE_JWT_SECRET", "hunter2", "warning access tokens", "SUPABASE_JWT_SECRET"},
		"no project":       {"SUPABASE_URL", "http://127.0.0.1:1", "failure access tokens", "SUPABASE_URL"},
		"no URL":           {"SUPABASE_URL", "project.supabase.co", "failure access tokens", "SUPABASE_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newDeployment(t, codertest.Start(codertest.ProfileV231))
			good := maps.Clone(w.variables)
			w.variables[test.set] = test.value
			found := w.doctor(t)
			if len(found) != 1 || results(found)[0] != test.want || !strings.Contains(found[0].Cure+found[0].Found, test.cure) {
				t.Fatalf("got %+v, want %s, cured by %q", found, test.want, test.cure)
			}
			w.variables = good
			wantResults(t, w.doctor(t))
		})
	}
}

func TestDoctorSaysWhatItCouldNotCheck(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, codertest.Start(codertest.ProfileV231))
	w.variables, w.url = map[string]string{}, "http://localhost:1/hooks/custom-access-token"
	found := w.doctor(t)
	if len(found) != 4 {
		t.Fatalf("%+v", found)
	}
	for _, f := range found {
		if !strings.Contains(f.Found, "skipped because of this") {
			t.Errorf("%q does not say what was not checked", f.Found)
		}
	}
}

func TestDoctorOnTheRoleOfTheURL(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, codertest.Start(codertest.ProfileV231))
	for _, url := range []string{w.db.URL, w.db.RoleURL(pgserver.ProductAdmin)} {
		w.variables["DATABASE_URL"] = url
		found := w.doctor(t)
		if len(found) == 0 || results(found)[0] != "warning database role" || !strings.Contains(found[0].Cure, "coderhook") {
			t.Errorf("%+v", found)
		}
	}
	w.variables["DATABASE_URL"] = w.db.RoleURL("coderhook")
	wantResults(t, w.doctor(t))
}

// Its words are for people, its status is for scripts, and nothing is said twice.
func TestDoctorAsAProgram(t *testing.T) {
	t.Parallel()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	w := newDeployment(t, codertest.Start(codertest.ProfileV231))
	for _, test := range []struct {
		broken string
		status int
		want   []string
	}{
		{`select 1`, 0, []string{"ok       database: PostgreSQL", "failures: 0, warnings: 0"}},
		{`drop policy coderhook_update on public.profiles`, 1, []string{"failure  profiles table: row level security", "         cure: run `coderhook migrate`", "failures: 1"}},
	} {
		w.db.Script(t, test.broken)
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "doctor")
		for name, value := range w.variables {
			cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s", name, value))
		}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, _ := cmd.Output()
		if got := cmd.ProcessState.ExitCode(); got != test.status || stderr.String() != "" {
			t.Errorf("status %d, on stderr %q", got, stderr.String())
		}
		for _, text := range test.want {
			if !strings.Contains(string(out), text) {
				t.Errorf("%q is not in\n%s", text, out)
			}
		}
	}
}
