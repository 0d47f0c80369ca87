package exposure

import (
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// What is said of a rule is compared with what it does: two users, each with a profile, and who sees whose.
func TestPoliciesAreJudgedAsTheyWork(t *testing.T) {
	t.Parallel()
	const unjudged = Level(-1) // may be called unclear; only too mild an answer is wrong
	for rule, want := range map[string]Level{
		`true`:                              Everyone,
		`false`:                             Nobody,
		`auth.uid() = id`:                   OwnRow,
		`id = auth.uid()`:                   OwnRow,
		`(select auth.uid()) = id`:          OwnRow,
		`id = (select auth.uid() as me)`:    OwnRow,
		`auth.uid()::text = id::text`:       OwnRow,
		`(auth.jwt() ->> 'sub')::uuid = id`: OwnRow,
		`auth.uid() = id and shown`:         OwnRow,
		`auth.uid() = id or shown`:          Everyone,
		`auth.uid() = id or false`:          OwnRow,
		`shown`:                             Everyone,
		`name <> 'y AND false AND z'`:       Everyone,
		`shown and name <> ' AND false) ('`: Everyone,
		`shown or (auth.uid() = id and name = ') OR ('' OR ')`:            Everyone,
		`auth.role() = 'authenticated'`:                                   Everyone,
		`(select auth.role()) = 'authenticated'`:                          Everyone,
		`id is not null`:                                                  Everyone,
		`"odd AND name(" is null`:                                         unjudged,
		`not (auth.uid() = id)`:                                           unjudged,
		`auth.uid() <> id`:                                                unjudged,
		`auth.uid() is not null`:                                          unjudged,
		`auth.uid() = id and auth.uid() is null`:                          unjudged,
		`auth.uid() = any (array[id, id])`:                                unjudged,
		`coalesce(auth.uid(), id) = id`:                                   unjudged,
		`exists (select from public.teams t where t.member = auth.uid())`: unjudged,
		`exists (select from public.teams)`:                               unjudged,
		`current_user = 'authenticated'`:                                  unjudged,
		`case when auth.uid() = id then true else shown end`:              unjudged,
		`"auth.uid() = id"`:                                               unjudged,
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			db := storetest.Bare(t)
			db.Script(t, `
				create function auth.jwt() returns jsonb language sql stable as $$ select jsonb_build_object('sub', auth.uid()) $$;
				create function auth.role() returns text language sql stable as $$ select 'authenticated'::text $$;
				create table public.teams (member uuid);
				insert into public.teams values ('11111111-1111-4111-8111-111111111111');
				create table public.people (id uuid primary key, shown bool default true, name text default 'x', api_key text,
				  "odd AND name(" text, "auth.uid() = id" bool default true);
				alter table public.people enable row level security;
				create policy p on public.people for select using (`+rule+`);
				insert into public.people values ('11111111-1111-4111-8111-111111111111'), ('22222222-2222-4222-8222-222222222222')`)
			got := judged(t, db)
			does := behaves(t, db)
			if want != unjudged && (got != want || does != want) {
				t.Errorf("judged %d and does %d, want %d", got, does, want)
			}
			if got != Unclear && got < does {
				t.Errorf("judged %d, and does %d", got, does)
			}
		})
	}
}

func judged(t *testing.T, db *storetest.DB) Level {
	t.Helper()
	i, err := store.Inspect(t.Context(), store.Config{URL: db.URL, ProfilesTable: "public.people"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close(t.Context()) })
	tables, err := i.KeyTables(t.Context(), nil)
	if err != nil || len(tables) != 1 {
		t.Fatal(tables, err)
	}
	policies, err := i.Policies(t.Context(), []store.Place{{OID: tables[0].OID}})
	if err != nil || len(policies) != 1 {
		t.Fatal(policies, err)
	}
	return Of(policies[0].Reads, "id")
}

// behaves asks as the first of the two users.
func behaves(t *testing.T, db *storetest.DB) Level {
	t.Helper()
	tx := db.Begin(t)
	tx.Exec(t, `set local role authenticated`)
	tx.Exec(t, `set local request.jwt.claims = '{"sub":"11111111-1111-4111-8111-111111111111"}'`)
	seen := storetest.TxQuery[string](t, tx, `select left(id::text, 1) from public.people order by 1`)
	switch {
	case len(seen) == 0:
		return Nobody
	case len(seen) == 1 && seen[0] == "1":
		return OwnRow
	}
	return Everyone
}
