package doctor_test

import (
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
)

// What a trigger can do is named, and what can't be read is never called harmless.
func TestDoctorOnTriggersOfTheProfiles(t *testing.T) {
	t.Parallel()
	const before = `before insert or update`
	for name, test := range map[string]struct {
		when, body, how string
		want            string // "" is harmless
	}{
		"a date":              {before, `new.name := upper(new.name); return new;`, "", ""},
		"auth, as the server": {before, `if auth.uid() is null then new.name := 'x'; end if; return new;`, "", "failure calls functions of the schema auth"},
		"auth, as its owner":  {before, `if auth.uid() is null then new.name := 'x'; end if; return new;`, "security definer", ""},
		"auth, of the name":   {`before update of name`, `if auth.uid() is null then new.name := 'x'; end if; return new;`, "", ""},
		"an exception":        {before, `if new.name = 'x' then raise exception 'no'; end if; return new;`, "", "warning can refuse"},
		"a notice":            {before, `raise notice 'hello'; return new;`, "", ""},
		"the old key":         {before, `new.api_key := old.api_key; return new;`, "", "warning keep the old one"},
		"the old row":         {before, `return old;`, "", "warning keep the old one"},
		"dynamic SQL":         {`after update`, `execute format('insert into %I values ($1)', 't') using new; return null;`, "", "warning hands the row"},
		"a function":          {`after update`, `perform public.f(new); return null;`, "", "warning hands the row"},
		"a message":           {`after update`, `perform pg_notify('x', row_to_json(new)::text); return null;`, "", "warning hands the row"},
		"an unknown table":    {`after update`, `insert into somewhere select new.*; return null;`, "", "warning hands the row"},
		"without the key":     {`after update`, `insert into public.history values (to_jsonb(new) - 'api_key'); return null;`, "", ""},
		"of other columns":    {`after update`, `if new.api_key is distinct from old.api_key then insert into public.history values (to_jsonb(new.id)); end if; return null;`, "", ""},
		"no comment":          {`after update`, `new.name := '--'; perform public.f(new); /* ' */ return null;`, "", "warning hands the row"},
		"a comment":           {`after update`, `/* insert into public.history values (to_jsonb(new)); */ return null; -- raise exception 'x'`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
			w.DB.Script(t, `create table public.history (line jsonb); alter table public.profiles add name text; set check_function_bodies = off;
				create function public.act() returns trigger language plpgsql `+test.how+` as $$ begin `+test.body+` end $$;
				create trigger act `+test.when+` on public.profiles for each row execute function public.act()`)
			var got []string
			for _, f := range w.Doctor(t) {
				got = append(got, string(f.Result)+" "+f.Check+": "+f.Found)
			}
			level, text, _ := strings.Cut(test.want, " ")
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], level+" triggers on the profiles table") || !strings.Contains(got[0], text)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
