package doctor_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
)

// roleClaims is the hook of Supabase's guide to role claims, with its grants and its policy.
const roleClaims = `
create table public.user_roles (user_id uuid primary key references auth.users, role text not null);
alter table public.user_roles enable row level security;
create function public.custom_access_token_hook(event jsonb) returns jsonb language plpgsql stable as $$
declare claims jsonb := event -> 'claims'; user_role text;
begin
  select role into user_role from public.user_roles where user_id = (event ->> 'user_id')::uuid;
  return jsonb_set(event, '{claims}', jsonb_set(claims, '{user_role}', coalesce(to_jsonb(user_role), 'null')));
end $$;
grant usage on schema public to supabase_auth_admin;
grant execute on function public.custom_access_token_hook to supabase_auth_admin;
revoke execute on function public.custom_access_token_hook from authenticated, anon, public;
grant all on table public.user_roles to supabase_auth_admin;
revoke all on table public.user_roles from authenticated, anon, public;
create policy "Allow auth admin to read user roles" on public.user_roles as permissive for select to supabase_auth_admin using (true);
alter table public.user_roles owner to product_admin;
alter function public.custom_access_token_hook owner to product_admin;
create function public.send_mail(event jsonb) returns jsonb language sql as $$ select event $$;
grant execute on function public.send_mail to supabase_auth_admin;
create function public.helper(event_claims jsonb) returns jsonb language sql as $$ select event_claims -> 'claims' $$;
`

// The hook that ours displaces is found, and the doctor's cures, one after the other, let it be called first. The key of
// a mint then stands beside the role that the function adds, for a user whom only a policy lets it see.
func TestDoctorOnTheHookThatOursDisplaces(t *testing.T) {
	t.Parallel()
	coder := codertest.Start(codertest.ProfileV231)
	w := cmdtest.NewDeployment(t, coder)
	w.DB.Script(t, roleClaims)
	for _, want := range []string{
		"warning: public.custom_access_token_hook looks like an access-token hook",
		"failure: role coderhook may not call public.custom_access_token_hook",
	} {
		found := w.Doctor(t)
		if len(found) != 1 || found[0].Check != "chained hook" || !strings.HasPrefix(string(found[0].Result)+": "+found[0].Found, want) {
			t.Fatalf("want %q, found %+v", want, found)
		}
		w.Follow(t, found)
	}
	cmdtest.WantResults(t, w.Doctor(t))

	w.DB.Exec(t, `revoke select on public.user_roles from coderhook`)
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure chained hook")
	if found[0].SQL != "grant select on public.user_roles to coderhook;" || !strings.Contains(found[0].Found, "runs with the rights of its caller") {
		t.Errorf("%+v", found)
	}
	w.Follow(t, found)
	cmdtest.WantResults(t, w.Doctor(t))

	server := w.Start(t, "CHAIN_HOOK=public.custom_access_token_hook", "LEDGER_SECRET="+w.Variables["LEDGER_SECRET"])
	w.URL = server.URL
	user := w.DB.AddUser(t, "ada@example.com")
	w.DB.Exec(t, `insert into public.user_roles values ($1, 'moderator')`, user)
	cmdtest.WantResults(t, w.Doctor(t))
	if text := w.Text(t, ""); !strings.Contains(text, "the claims came back as the chained hook made them") {
		t.Error(text)
	}
	request, err := cmdtest.SignedMint(t.Context(), server.URL, w.Variables["CUSTOM_ACCESS_TOKEN_HOOK_SECRETS"], user, "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Claims struct {
			Role     string `json:"user_role"`
			Metadata struct {
				Key string `json:"api_key"`
			} `json:"app_metadata"`
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Claims.Role != "moderator" || answer.Claims.Metadata.Key == "" {
		t.Errorf("%v, %+v", err, answer)
	}
}

func TestDoctorOnAChainedHookThatCannotBeCalled(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
	w.DB.Script(t, `
create function public.of_text(event text) returns jsonb language sql as $$ select '{}'::jsonb $$;
create function public.failing(event jsonb) returns jsonb language plpgsql as $$ begin raise exception 'no such user'; end $$;
create function public.reading(event jsonb) returns jsonb language plpgsql as $$ begin perform from auth.users; return event; end $$;`)
	for name, want := range map[string][]string{
		"public.none":                 {"failure chained hook", "there is no public.none(jsonb)"},
		"public.of_text":              {"failure chained hook", "there is no public.of_text(jsonb)"},
		"public.failing":              {"warning chained hook", "fails with SQLSTATE P0001"},
		"public.reading":              {"failure chained hook", "lacks rights"},
		"custom_access_token_hook":    {"failure variable CHAIN_HOOK", "is not the name of a function"},
		`public."Hook"`:               {"failure variable CHAIN_HOOK", "is not the name of a function"},
		"public.f(event); drop x; --": {"failure variable CHAIN_HOOK", "is not the name of a function"},
	} {
		w.Variables["CHAIN_HOOK"] = name
		found := w.Doctor(t)
		cmdtest.WantResults(t, found, want[0])
		if len(found) > 0 && !strings.Contains(found[0].Found, want[1]) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
