package doctor_test

import (
	"slices"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"
)

// A product's own table with Supabase's usual grants, policies and trigger.
func TestDoctorOnAUsualProduct(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	w.DB = storetest.Bare(t)
	w.Variables["DATABASE_URL"] = w.DB.RoleURL("coderhook")
	w.DB.Script(t, `set role product_admin;
		create table public.profiles (id uuid primary key references auth.users (id) on delete cascade, "Full Name" text not null);
		alter table public.profiles enable row level security;
		create policy "Public profiles are viewable by everyone." on public.profiles for select using (true);
		create policy "Users can insert their own profile." on public.profiles for insert with check ((select auth.uid()) = id);
		create policy "Users can update own profile." on public.profiles for update using ((select auth.uid()) = id);
		reset role;`+pgserver.NewUserTriggerSQL)
	if _, err := store.Migrate(t.Context(), store.Config{URL: w.DB.RoleURL(pgserver.ProductAdmin)}); err != nil {
		t.Fatal(err)
	}
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure keys, read by anon", "failure keys, read by authenticated", "failure keys, written by authenticated")
	w.Follow(t, found)
	cmdtest.WantResults(t, w.Doctor(t))
	const rights = `select has_column_privilege('authenticated', 'public.profiles', 'Full Name', p) from unnest(array['select', 'insert', 'update']) p`
	if got := storetest.QueryAll[bool](t, w.DB, rights); slices.Contains(got, false) {
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
		"everybody's key, but for a restriction": {
			`grant select on public.profiles to authenticated; create policy p on public.profiles for select using (true);
			 create policy q on public.profiles as restrictive for select using (auth.uid() = id)`,
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
		"no foreign key":          {`alter table public.profiles drop constraint profiles_id_fkey`, []string{"warning foreign key"}},
		"foreign key, no cascade": {`alter table public.profiles drop constraint profiles_id_fkey, add constraint "My Key" foreign key (id) references auth.users (id)`, []string{"warning foreign key"}},
		"short key column":        {`alter table public.profiles alter api_key type varchar(20)`, []string{"failure profiles table"}},
		"no key column":           {`alter table public.profiles drop api_key`, []string{"failure profiles table"}},
		"no table":                {`drop table public.profiles`, []string{"failure profiles table"}},
		"ids not unique":          {`alter table public.profiles drop constraint profiles_pkey`, []string{"failure profiles table"}},
		"ids unique but for some": {
			`alter table public.profiles drop constraint profiles_pkey; create unique index on public.profiles (id) where api_key is not null`,
			[]string{"failure profiles table"},
		},
		"a column without a default": {`alter table public.profiles add "Nick" text not null, add plan text not null`, []string{"failure profiles table"}},
		"no policy for the server":   {`drop policy coderhook_update on public.profiles`, []string{"failure profiles table"}},
		"no rights for the server":   {`revoke update (api_key) on public.profiles from coderhook`, []string{"failure profiles table"}},
		"no ledger":                  {`drop schema coderhook cascade; do $$ begin execute format('grant create on database %I to product_admin', current_database()); end $$`, []string{"failure migrations"}},
		"no function":                {`drop function coderhook.auth_users_state`, []string{"failure migrations"}},
		"an older migration":         {`drop function coderhook.auth_user_ids; alter table coderhook.accounts drop key_lifetime_seconds, drop key_checked_at, drop key_refused_at, drop token_seconds, drop linked, drop suspended_by_us; drop table coderhook.tasks`, []string{"failure migrations"}},
		"no rights to retire keys":   {`revoke delete on coderhook.retired_keys from coderhook`, []string{"failure migrations"}},
		"no rights on the ledger":    {`revoke insert on coderhook.accounts from coderhook`, []string{"failure migrations"}},
		"open ledger":                {`grant usage on schema coderhook to authenticated; grant select on coderhook.accounts to authenticated`, []string{"failure migrations"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
			w.DB.Script(t, test.broken)
			found := w.Doctor(t)
			cmdtest.WantResults(t, found, test.want...)
			w.Follow(t, found)
			cmdtest.WantResults(t, w.Doctor(t))
		})
	}
}

// What looks like a fault and is none.
func TestDoctorLeavesTheHarmlessAlone(t *testing.T) {
	t.Parallel()
	const ownRows = `create policy p on public.profiles using (auth.uid() = id);`
	for name, script := range map[string]string{
		"own row of those who are not signed in": ownRows + `grant select, insert, update on public.profiles to anon`,
		"rights without a policy":                `drop policy coderhook_own_row on public.profiles; grant all on public.profiles to anon, authenticated`,
		"a policy without rights":                `create policy p on public.profiles using (true)`,
		"own id":                                 ownRows + `grant update (id) on public.profiles to authenticated`,
		"policy of others":                       `drop policy coderhook_own_row on public.profiles; create policy p on public.profiles to service_role using (true); grant all on public.profiles to authenticated`,
		"restricted to nobody":                   `create policy p on public.profiles using (true); create policy q on public.profiles as restrictive using (false); grant all on public.profiles to authenticated`,
		"other columns":                          `alter table public.profiles add name text; grant select (name), update (name) on public.profiles to authenticated; create policy p on public.profiles using (true)`,
		"view with the caller's rights":          `create view public.people with (security_invoker = true) as select * from public.profiles; grant select on public.people to anon`,
		"view without keys":                      `create view public.people as select id from public.profiles; grant select on public.people to anon`,
		"view that nobody reads":                 `create schema hidden; create view hidden.people as select * from public.profiles; grant select on hidden.people to anon`,
		"another table published":                `create table public.t (id int primary key); create publication supabase_realtime for table public.t`,
		"column with a default":                  `alter table public.profiles add plan text not null default 'free', add n int generated always as identity`,
		"a second foreign key":                   `alter table public.profiles add constraint a foreign key (id) references auth.users (id)`,
		"longer key column":                      `alter table public.profiles alter api_key type varchar(64)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
			w.DB.Script(t, script)
			cmdtest.WantResults(t, w.Doctor(t))
		})
	}
}

// Names that have to be quoted, in what is found and in the cures.
func TestDoctorOnOddNames(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
	w.DB = storetest.Bare(t)
	w.Variables["DATABASE_URL"] = w.DB.RoleURL("coderhook")
	w.Variables["PROFILES_TABLE"], w.Variables["PROFILES_ID_COLUMN"], w.Variables["PROFILES_KEY_COLUMN"] = `My App.User"s`, "select", `Key "of" Coder`
	w.DB.Script(t, `set role product_admin; create schema "My App"; grant usage on schema "My App" to anon, authenticated;
		create table "My App"."User""s" ("select" uuid primary key references auth.users (id), "from" text not null);
		alter table "My App"."User""s" enable row level security; grant all on "My App"."User""s" to anon, authenticated;
		create policy p on "My App"."User""s" using (auth.uid() = "select");`)
	_, err := store.Migrate(t.Context(), store.Config{
		URL: w.DB.RoleURL(pgserver.ProductAdmin), ProfilesTable: w.Variables["PROFILES_TABLE"],
		ProfilesIDColumn: w.Variables["PROFILES_ID_COLUMN"], ProfilesKeyColumn: w.Variables["PROFILES_KEY_COLUMN"],
	})
	if err != nil {
		t.Fatal(err)
	}
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure profiles table", "warning foreign key", "warning keys, read by authenticated", "failure keys, written by authenticated")
	w.Follow(t, found)
	cmdtest.WantResults(t, w.Doctor(t))
}

func TestDoctorOnAPublicationOfAllTables(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
	w.DB.Script(t, `create publication supabase_realtime for all tables`)
	cmdtest.WantResults(t, w.Doctor(t), "warning realtime")
}

func TestDoctorOnUsersThatCannotBeLookedUp(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
	w.DB.Script(t, `revoke select on auth.users from product_admin`)
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "warning migrations")
	if !strings.Contains(found[0].Found, "grant select on auth.users to product_admin") {
		t.Errorf("%+v", found)
	}
	w.DB.Script(t, `grant select on auth.users to product_admin`)
	cmdtest.WantResults(t, w.Doctor(t))
}

// A role of the product's own, in a cluster of its own, as memberships belong to the cluster.
func TestDoctorOnARoleWithoutRights(t *testing.T) {
	t.Parallel()
	port, run := cmdtest.OwnServer(t, nil)
	run(`create role "The Hook" login password 'throwaway'`)
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
	w.Variables["DATABASE_URL"] = "postgres://The%20Hook:throwaway@127.0.0.1:" + port + "/postgres"
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure migrations")
	run(found[0].SQL)
	cmdtest.WantResults(t, w.Doctor(t))
}

func TestDoctorKnowsWhyItCannotConnect(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
	server, err := pgserver.Start(t.Context(), pgserver.Options{TCP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	for url, want := range map[string]string{
		server.URL("nowhere"): "correct the database's name",
		strings.Replace(server.URL("postgres"), "sslmode=disable", "sslmode=require", 1): "set sslmode=disable",
	} {
		w.Variables["DATABASE_URL"] = url
		found := w.Doctor(t)
		cmdtest.WantResults(t, found, "failure database")
		if len(found) != 1 || !strings.Contains(found[0].Cure, want) {
			t.Errorf("%+v, want %q", found, want)
		}
	}
}
