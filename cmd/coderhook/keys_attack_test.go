package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"
)

// quickstart is the table of Supabase's own guide, with the grants that every table of a project gets.
const quickstart = `
create table public.profiles (
  id uuid references auth.users on delete cascade not null primary key,
  updated_at timestamp with time zone,
  username text unique,
  full_name text,
  avatar_url text,
  website text,
  constraint username_length check (char_length(username) >= 3)
);
alter table public.profiles enable row level security;
create policy "Public profiles are viewable by everyone." on public.profiles for select using (true);
create policy "Users can insert their own profile." on public.profiles for insert with check ((select auth.uid()) = id);
create policy "Users can update own profile." on public.profiles for update using ((select auth.uid()) = id);
grant all on all tables in schema public to anon, authenticated, service_role;`

const (
	victim   = "11111111-1111-4111-8111-111111111111"
	attacker = "22222222-2222-4222-8222-222222222222"
	theKey   = "AbCdEfGhIj-0123456789abcdefghijkl"
)

// attacked is a database in which the victim has a key, and the product's admin runs the migrations.
type attacked struct {
	*cmdtest.Deployment
	t *testing.T
}

func newAttacked(t *testing.T, script string) attacked {
	t.Helper()
	w := attacked{cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231)), t}
	w.DB = storetest.Bare(t)
	w.Variables["DATABASE_URL"] = w.DB.RoleURL("coderhook")
	for _, id := range []string{victim, attacker} {
		w.DB.Exec(t, `insert into auth.users (id, email) values ($1, $2)`, id, id+"@example.com")
	}
	w.asOwner(script)
	w.migrate() // what it says of these is asked again below
	into := "public.profiles"
	if strings.Contains(script, "public.vip") {
		into = "public.vip"
	}
	w.DB.Exec(t, `insert into `+into+` (id, api_key) values ($1, $2), ($3, null)`, victim, theKey, attacker)
	return w
}

func (w attacked) asOwner(script string) {
	w.t.Helper()
	if err := storetest.RunScript(w.t.Context(), w.DB.RoleURL(pgserver.ProductAdmin), script); err != nil {
		w.t.Fatalf("%v, in:\n%s", err, script)
	}
}

func (w attacked) migrate(args ...string) (string, error) {
	w.t.Helper()
	return command(w.t, map[string]string{"DATABASE_URL": w.DB.RoleURL(pgserver.ProductAdmin)}, append([]string{"migrate"}, args...)...)
}

// as runs SQL as PostgREST does for a request of the attacker, or of nobody, and returns what it reads.
func (w attacked) as(role, sql string) (string, error) {
	w.t.Helper()
	claims := "{}"
	if role == "authenticated" {
		claims = `{"sub":"` + attacker + `","role":"authenticated"}`
	}
	tx := w.DB.Begin(w.t)
	tx.Exec(w.t, `set local role `+role)
	tx.Exec(w.t, `set local request.jwt.claims = '`+claims+`'`)
	rows, err := tx.TryQuery(w.t, sql)
	tx.Exec(w.t, `rollback`)
	return strings.Join(rows, "\n"), err
}

func (w attacked) steals(role, sql string) bool {
	w.t.Helper()
	got, err := w.as(role, sql)
	if err != nil && !strings.Contains(err.Error(), "permission denied") {
		w.t.Errorf("%v, in: %s", err, sql)
	}
	return strings.Contains(got, theKey)
}

// Each way to other people's keys is first gone, then found and shut, by the SQL that doctor prints and by
// --lock-keys; the product's own queries go on.
func TestKeysAreStolenThenLocked(t *testing.T) {
	t.Parallel()
	const closed = quickstart + `revoke all on public.profiles from anon, authenticated;`
	for name, test := range map[string]struct {
		script string
		role   string
		attack string
		goesOn string // a query of the product
		check  string
	}{
		"quickstart": {quickstart, "anon", `select api_key from public.profiles`, `select username, website from public.profiles`, "keys, read by anon"},
		"the whole row as JSON": {
			quickstart, "authenticated", `select to_jsonb(p)::text from public.profiles p`, `select full_name from public.profiles`, "keys, read by authenticated",
		},
		"by public": {
			closed + `grant select on public.profiles to public;`, "anon", `select api_key from public.profiles`, `select username from public.profiles`, "keys, read by anon",
		},
		"a partition": {
			`create table public.profiles (id uuid primary key, name text) partition by hash (id);
			 create table public.profiles_eu partition of public.profiles for values with (modulus 1, remainder 0) partition by hash (id);
			 create table public.profiles_eu_1 partition of public.profiles_eu for values with (modulus 1, remainder 0);
			 alter table public.profiles enable row level security; alter table public.profiles_eu enable row level security;
			 create policy mine on public.profiles for select using (auth.uid() = id);`,
			"anon", `select api_key from public.profiles_eu_1`, `select name from public.profiles_eu_1`, "partitions and parents",
		},
		"an heir": {
			closed + `create table public.vip (rank int) inherits (public.profiles); grant all on public.vip to anon, authenticated;`,
			"authenticated", `select api_key from public.vip`, `select rank from public.vip`, "partitions and parents",
		},
		"a parent": {
			`create table public.people (id uuid not null, api_key text, name text); create table public.profiles (primary key (id)) inherits (public.people);
			 alter table public.profiles enable row level security;`,
			"anon", `select api_key from public.people`, `select name from public.people`, "partitions and parents",
		},
		"a view": {
			closed + `alter table public.profiles add api_key text; create view public.people as select id, username, api_key as secret from public.profiles;`,
			"anon", `select secret from public.people`, `select username from public.people`, "views of the keys",
		},
		"a view of whole rows": {
			closed + `alter table public.profiles add api_key text; create view public.people as select p.id, to_jsonb(p) as line from public.profiles p;`,
			"anon", `select line::text from public.people`, `select id from public.people`, "views of the keys",
		},
		"a view over a view": {
			closed + `alter table public.profiles add api_key text; create schema hidden;
			 create view hidden.inner_view as select * from public.profiles;
			 create view public.people as select username, substr(x.api_key, 1) as k from (select * from hidden.inner_view) x;`,
			"authenticated", `select k from public.people`, `select username from public.people`, "views of the keys",
		},
		"a materialized view over a view of its reader": {
			closed + `alter table public.profiles add api_key text;
			 create view public.careful with (security_invoker = true) as select id, api_key from public.profiles;
			 create materialized view public.people as select * from public.careful;`,
			"anon", `select api_key from public.people`, `select id from public.people`, "views of the keys",
		},
		"a history of rows": {
			closed + `create table public.history (at timestamptz default now(), line jsonb);
			 create function public.remember() returns trigger language plpgsql security definer set search_path = '' as $$
			   begin insert into public.history (line) values (to_jsonb(new)); return new; end $$;
			 create trigger remember after insert or update on public.profiles for each row execute function public.remember();`,
			"anon", `select line::text from public.history`, `select at from public.history`, "copies of the keys",
		},
		"a history of a history": {
			closed + `create schema hidden; create table hidden.history (like public.profiles); create table public."Archive" (line text, at timestamptz default now());
			 alter table hidden.history add api_key text;
			 create function hidden.remember() returns trigger language plpgsql security definer set search_path = '' as $$
			   begin INSERT INTO hidden.History SELECT new.*; return null; end $$;
			 create function hidden.archive() returns trigger language plpgsql security definer set search_path = '' as $$
			   begin insert into public . "Archive" (line) values (new.api_key); return null; end $$;
			 create trigger remember after insert or update on public.profiles for each row execute function hidden.remember();
			 create trigger archive after insert on hidden.history for each row execute function hidden.archive();`,
			"authenticated", `select line from public."Archive"`, `select at from public."Archive"`, "copies of the keys",
		},
		"a history of JSON, copied on": {
			closed + `create schema hidden; create table hidden.history (line jsonb); create table public.feed (what jsonb, at timestamptz default now());
			 create function hidden.remember() returns trigger language plpgsql security definer set search_path = '' as $$
			   begin insert into hidden.history select to_jsonb(new); return null; end $$;
			 create function hidden.feed() returns trigger language plpgsql security definer set search_path = '' as $$
			   begin insert into public.feed (what) values (new.line); return null; end $$;
			 create trigger remember after insert or update on public.profiles for each row execute function hidden.remember();
			 create trigger feed after insert on hidden.history for each row execute function hidden.feed();`,
			"anon", `select what::text from public.feed`, `select at from public.feed`, "copies of the keys",
		},
		"a rule": {
			closed + `alter table public.profiles add api_key text; create table public.log (who uuid, what text);
			 create rule log as on insert to public.profiles do also insert into public.log values (new.id, new.api_key);`,
			"anon", `select what from public.log`, `select who from public.log`, "copies of the keys",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, way := range []string{"doctor's SQL", "--lock-keys"} {
				w := newAttacked(t, test.script)
				if strings.Contains(test.script, "materialized") {
					w.asOwner(`refresh materialized view public.people`)
				}
				if !w.steals(test.role, test.attack) {
					t.Fatal("the attack does not work at all")
				}
				w.findsAndShuts(test.check, way)
				if w.steals(test.role, test.attack) {
					t.Errorf("after %s the key is still read", way)
				}
				if _, err := w.as(test.role, test.goesOn); err != nil {
					t.Errorf("after %s the product's query is refused: %v", way, err)
				}
			}
		})
	}
}

// findsAndShuts expects doctor and migrate to complain, mends it one way, and expects both to be content.
func (w attacked) findsAndShuts(check, way string) {
	w.t.Helper()
	found := w.Doctor(w.t)
	if !slices.Contains(cmdtest.Results(found), "failure "+check) {
		w.t.Errorf("doctor says %v", cmdtest.Results(found))
	}
	out, err := w.migrate()
	if !errors.Is(err, errReported) || !strings.Contains(out, "Everybody can read the keys of all users") || !strings.Contains(out, "revoke ") {
		w.t.Errorf("migrate says %q, %v", out, err)
	}
	if _, err := w.migrate("--allow-readable-keys"); err != nil {
		w.t.Errorf("although it is allowed: %v", err)
	}
	if way == "--lock-keys" {
		out, err = w.migrate(way)
		if err != nil || !strings.Contains(out, "select('*') is refused") {
			w.t.Errorf("locking says %q, %v", out, err)
		}
		if again, err := w.migrate(way); err != nil || !strings.Contains(again, "nothing was to be done") {
			w.t.Errorf("locking again says %q, %v", again, err)
		}
	} else {
		w.Follow(w.t, found)
	}
	if out, err := w.migrate(); err != nil || strings.Contains(out, "Everybody") {
		w.t.Errorf("afterwards migrate says %q, %v", out, err)
	}
	for _, r := range cmdtest.Results(w.Doctor(w.t)) {
		if strings.HasPrefix(r, "failure keys") || r == "failure "+check {
			w.t.Errorf("afterwards doctor says %s", r)
		}
	}
}

// The guide's own table: what leaks and can be planted there, and that the guide's own queries go on once it is locked.
func TestSupabaseQuickstart(t *testing.T) {
	t.Parallel()
	const (
		upsert = `insert into public.profiles (id, username, website) values ('` + attacker + `', 'mallory', 'x')
			on conflict (id) do update set id = excluded.id, username = excluded.username, website = excluded.website returning username`
		plant    = `update public.profiles set api_key = 'planted' where id = '` + attacker + `' returning id`
		plantNew = `insert into public.profiles (id, api_key) values ('` + attacker + `', 'planted') on conflict (id) do update set api_key = excluded.api_key returning id`
		take     = `update public.profiles set id = '33333333-3333-4333-8333-333333333333' where id = '` + victim + `' returning id`
	)
	w := newAttacked(t, quickstart)
	if !w.steals("anon", `select api_key from public.profiles`) || !w.can("authenticated", plant) || !w.can("authenticated", plantNew) {
		t.Fatal("the attacks do not work at all")
	}
	out, err := w.migrate()
	for _, want := range []string{"Everybody can read the keys of all users: anon and authenticated, in public.profiles.", "Users can plant a key: authenticated", "coderhook migrate --lock-keys", "grant select (id, updated_at, username, full_name, avatar_url, website) on public.profiles to anon;"} {
		if !errors.Is(err, errReported) || !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if out, err := w.migrate("--lock-keys"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, attack := range []string{
		`select api_key from public.profiles`, `select * from public.profiles`, `select p from public.profiles p`, plant, plantNew, take,
		`select id from public.profiles where api_key like 'A%'`, `select id from public.profiles order by api_key`,
	} {
		for _, role := range []string{"anon", "authenticated"} {
			if got, err := w.as(role, attack); err == nil && got != "" {
				t.Errorf("%s: %s gives %q", role, attack, got)
			}
		}
	}
	for _, query := range []string{
		upsert, `select id, updated_at, username, full_name, avatar_url, website from public.profiles`,
		`update public.profiles set full_name = 'M' where id = '` + attacker + `' returning id`,
	} {
		if !w.can("authenticated", query) {
			t.Errorf("refused: %s", query)
		}
	}
	w.asOwner(`alter table public.profiles add bio text`)
	if w.can("anon", `select bio from public.profiles`) {
		t.Error("README says that a new column has to be granted")
	}
	w.asOwner(`grant select (bio) on public.profiles to anon`)
	if !w.can("anon", `select coalesce(bio, 'none') from public.profiles`) {
		t.Error("a new column can't be granted")
	}
	cmdtest.WantResults(t, w.Doctor(t))
}

// can is whether a query is not refused, and finds rows.
func (w attacked) can(role, sql string) bool {
	w.t.Helper()
	got, err := w.as(role, sql)
	return err == nil && got != ""
}

// A key is planted past the table, through what has rights of its own.
func TestKeysArePlantedThenLocked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ script, plant, goesOn, check string }{
		"by a view": {
			quickstart + `revoke all on public.profiles from anon, authenticated; alter table public.profiles add api_key text;
			 create view public.people as select id, username, api_key from public.profiles; revoke select on public.people from anon, authenticated;
			 grant select (id, username) on public.people to authenticated;`,
			`update public.people set api_key = 'planted' where id = '` + victim + `' returning id`,
			`update public.people set username = 'victim' where id = '` + victim + `' returning id`, "views of the keys",
		},
		"by a partition": {
			`create table public.profiles (id uuid primary key, name text) partition by hash (id); alter table public.profiles enable row level security;
			 create table public.profiles_0 partition of public.profiles for values with (modulus 1, remainder 0);
			 revoke select on public.profiles_0 from anon, authenticated; grant select (id) on public.profiles_0 to authenticated;`,
			`update public.profiles_0 set api_key = 'planted' where id = '` + victim + `' returning id`,
			`update public.profiles_0 set name = 'victim' where id = '` + victim + `' returning id`, "partitions and parents",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newAttacked(t, test.script)
			if !w.can("authenticated", test.plant) {
				t.Fatal("the attack does not work at all")
			}
			if found := cmdtest.Results(w.Doctor(t)); !slices.Contains(found, "failure "+test.check) {
				t.Errorf("doctor says %v", found)
			}
			if out, err := w.migrate(); err != nil || !strings.Contains(out, "Users can plant a key") {
				t.Errorf("migrate says %q, %v", out, err)
			}
			if out, err := w.migrate("--lock-keys"); err != nil || strings.Contains(out, "plant") {
				t.Errorf("locking says %q, %v", out, err)
			}
			if w.can("authenticated", test.plant) || !w.can("authenticated", test.goesOn) {
				t.Error("the key can still be planted, or the product's update is refused")
			}
			if found := cmdtest.Results(w.Doctor(t)); slices.Contains(found, "failure "+test.check) {
				t.Errorf("afterwards doctor says %v", found)
			}
		})
	}
}

// What can't be judged is a warning, and what is harmless is left alone: neither keeps keys from being made.
func TestDoubtfulReadersAreWarnedOf(t *testing.T) {
	t.Parallel()
	const closed = quickstart + `revoke all on public.profiles from anon, authenticated; alter table public.profiles add api_key text;`
	for name, test := range map[string]struct {
		script string
		doubts bool
	}{
		"a view of the own row": {`create view public.me as select * from public.profiles where id = auth.uid();
			revoke insert, update on public.me from anon, authenticated;`, true},
		"a view without keys": {`create view public.people as select p.id, p.username, p.full_name, p.website, p.api_key is not null as has_key, count(*) over () as n
			from (select * from public.profiles) p;`, false},
		"a view over a view, without keys": {`create schema hidden; create view hidden.every as select * from public.profiles; create view public.names as select username as api_key from hidden.every;`, false},
		"a view with its reader's rights":  {`create view public.people with (security_invoker = true) as select * from public.profiles;`, false},
		"a view over one with its reader's rights": {`create view public.careful with (security_invoker = true) as select * from public.profiles;
			create view public.people as select * from public.careful;`, false},
		"a webhook": {`create function public.act() returns trigger language plpgsql as $$ begin perform net.http_post('http://x', to_jsonb(new)); return new; end $$;
			create trigger act after update on public.profiles for each row execute function public.act();`, true},
		"a message to users": {`create table public.notes (id serial, what text); create function public.act() returns trigger language plpgsql as $$
			begin insert into public.notes (what) select username || ' is new' from public.profiles where id = new.id; return new; end $$;
			create trigger act after insert on public.profiles for each row execute function public.act();`, true},
		"a message of the name": {`create table public.notes (id serial, what text); create function public.act() returns trigger language plpgsql as $$
			begin insert into public.notes (what) values (new.username); return new; end $$;
			create trigger act after insert on public.profiles for each row execute function public.act();`, false},
		"a history that nobody reads": {`create schema hidden; create table hidden.history (line jsonb); create function public.act() returns trigger language plpgsql as $$
			begin insert into hidden.history values (to_jsonb(new)); return new; end $$;
			create trigger act after update on public.profiles for each row execute function public.act();`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newAttacked(t, closed+test.script)
			out, err := w.migrate()
			if err != nil || strings.Contains(out, "could not be judged") != test.doubts {
				t.Errorf("got %q, %v", out, err)
			}
			for _, found := range cmdtest.Results(w.Doctor(t)) {
				if strings.HasPrefix(found, "failure") || !test.doubts && found != "warning realtime" {
					t.Errorf("doctor says %s", found)
				}
			}
		})
	}
}
