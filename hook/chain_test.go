package hook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/authtest"
	"coderhook/hook/claims"
	"coderhook/hook/policy"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// chain gives the server a hook that ours has displaced: a function with this body, which also notes that it was called.
func (w *world) chain(t *testing.T, body string) {
	t.Helper()
	w.db.Exec(t, `create table public.hook_calls (at timestamptz default clock_timestamp())`)
	w.db.Exec(t, `create table public.user_roles (user_id uuid primary key, role text)`)
	w.db.Exec(t, `grant all on public.hook_calls, public.user_roles to coderhook`)
	w.db.Exec(t, `create function public."Token_hook"(event jsonb) returns jsonb language plpgsql as $$
		begin insert into public.hook_calls default values; `+body+` end $$`)
	w.Chain = storetest.Open(t, store.Config{URL: w.db.RoleURL("coderhook"), ChainHook: "public.Token_hook"})
}

// calls counts those whose writes were kept.
func (w *world) calls(t *testing.T) int {
	t.Helper()
	return storetest.Query[int](t, w.db, `select count(*) from public.hook_calls`)
}

// What the function returned goes out as it came, but for the key, and what it did is kept. It is called once, as
// Supabase Auth would: with the event, and its own search path.
func TestChainedHookMakesTheClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.chain(t, `return jsonb_set(jsonb_set(event, '{claims,user_role}', to_jsonb(event ->> 'authentication_method' || '/' || current_setting('search_path'))),
		'{claims,odd}', '[1e20, 0.1000, "\u2028<b>", {"b": 1, "a": null}]');`)
	user := w.db.AddUser(t, "ada@example.com")
	event := w.eventOf(t, user, "ada@example.com")
	returned := []byte(storetest.Query[string](t, w.db, `select (public."Token_hook"($1::text::jsonb) -> 'claims')::text`, string(event)))
	w.db.Exec(t, `delete from public.hook_calls`)
	returned = bytes.Replace(returned, []byte(`password/\"$user\", public`), []byte(`password/auth`), 1)

	got := w.post(t, event, authtest.Sign(t, authtest.SecretA, uuid.NewString(), time.Now(), event))
	key := got.key(t)
	slot, err := claims.FindSlot(returned)
	if err != nil {
		t.Fatal(err)
	}
	want := append(slot.Set([]byte(`{"claims":`), returned, claims.KeyMember, key), '}')
	if !bytes.Equal(got.body, want) {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
	w.wantWorkingKey(t, key, "ada@example.com")
	if n := w.calls(t); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// A function's refusal is passed on byte for byte, in all forms that Supabase Auth takes for one; nothing that it wrote
// stays, and no account is made.
func TestChainedHookRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.chain(t, `return (select role from public.user_roles where user_id = (event ->> 'user_id')::uuid)::jsonb;`)
	for _, output := range []string{
		`{"error": {"message": "not from here", "http_code": 403}}`,
		`{"error": {"message": "no code"}}`,
		`{"Error": {"Message": "in capitals"}, "claims": {"sub": "x"}}`,
	} {
		user := w.db.AddUser(t, uuid.NewString()+"@example.com")
		w.db.Exec(t, `insert into public.user_roles values ($1, $2)`, user, output)
		got := w.mint(t, user, "ada@example.com")
		if got.status != http.StatusOK || string(got.body) != output {
			t.Errorf("got %d %s, want %s", got.status, got.body, output)
		}
	}
	if n := w.calls(t); n > 0 || len(w.coder.Users()) > 0 {
		t.Errorf("%d calls left something, and Coder has %d users", n, len(w.coder.Users()))
	}
	if log := w.log.String(); !strings.Contains(log, `"outcome":"rejected","reason":"chained hook"`) {
		t.Error(log)
	}
}

// Whatever goes wrong in the function fails the sign-in, as it does where Supabase Auth calls it: it may be there to keep
// somebody out. The log says why, without a key.
func TestChainedHookFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, want string }{
		"exception":     {`raise exception 'no % for AbCdEfGhIj-0123456789012345678901', event -> 'claims' -> 'app_metadata' ->> 'api_key';`, "AbCdEfGhIj-[redacted]"},
		"null":          {`return null;`, "returned no claims"},
		"no object":     {`return '[]';`, "returned no claims"},
		"no claims":     {`return event - 'claims';`, "returned no claims"},
		"claims null":   {`return jsonb_set(event, '{claims}', 'null');`, "claims is not an object"},
		"empty message": {`return '{"error": {"http_code": 403, "message": ""}}';`, "returned no claims"},
		"no end":        {`return event #- '{claims,exp}';`, "claims.exp is missing"},
		"metadata":      {`return jsonb_set(event, '{claims,app_metadata}', '1');`, "app_metadata is neither"},
		"no rights":     {`perform from auth.users; return event;`, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, patient())
			w.chain(t, test.body)
			user := w.db.AddUser(t, "ada@example.com")
			if got := w.mint(t, user, "ada@example.com"); got.status != http.StatusInternalServerError || strings.Contains(string(got.body), "claims") {
				t.Errorf("got %d %s", got.status, got.body)
			}
			if log := w.log.String(); !strings.Contains(log, test.want) || !strings.Contains(log, `"outcome":"failed","reason":"chained hook"`) {
				t.Errorf("no %q in %s", test.want, log)
			}
			if w.calls(t) > 0 || len(w.coder.Users()) > 0 {
				t.Error("something was kept, or made")
			}
		})
	}
}

// A function that is slow, or waits for a row that the sign-in itself has locked, ends with the deadline, in the database
// as well; and the next sign-in goes on.
func TestChainedHookIsSlow(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"sleeps":       `if (select true from public.user_roles) then perform pg_sleep(60); end if; return event;`,
		"waits, locks": `update public.user_roles set role = role; return event;`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := patient()
			s.server = func(s *Server) { s.Deadline = time.Second }
			w := newWorld(t, s)
			w.chain(t, body)
			user := w.db.AddUser(t, "ada@example.com")
			w.db.Exec(t, `insert into public.user_roles values ($1, 'a')`, user)
			tx := w.db.Begin(t)
			tx.Exec(t, `select from public.user_roles for update`)
			got := w.mint(t, user, "ada@example.com")
			if got.status != http.StatusInternalServerError {
				t.Errorf("got %d %s", got.status, got.body)
			}
			eventually(t, "the function has ended in the database", func() bool {
				return storetest.Query[int](t, w.db, `select count(*) from pg_stat_activity where datname = current_database() and state = 'active' and query like '%Token_hook%' and pid <> pg_backend_pid()`) == 0
			})
			tx.Exec(t, "rollback")
			w.db.Exec(t, `delete from public.user_roles`)
			eventually(t, "the next sign-in has a key", func() bool {
				got := w.mint(t, user, "ada@example.com")
				return got.status == http.StatusOK && got.metadata(t)["api_key"] != nil
			})
		})
	}
}

// What the session is does not change by the function's word: it can only keep a key from a token, never give one to a
// session that has none by policy. The claims go out as the function made them.
func TestChainedHookGivesNoKeyThatPolicyRefuses(t *testing.T) {
	t.Parallel()
	s := patient()
	s.server = func(s *Server) { s.Policy = policy.Policy{RequireAAL: "aal2"} }
	for name, test := range map[string]struct {
		asked map[string]any
		body  string
		key   bool
	}{
		"as it is":         {map[string]any{"aal": "aal2"}, `return event;`, true},
		"aal raised":       {map[string]any{"aal": "aal1"}, `return jsonb_set(event, '{claims,aal}', '"aal2"');`, false},
		"aal lowered":      {map[string]any{"aal": "aal2"}, `return jsonb_set(event, '{claims,aal}', '"aal1"');`, false},
		"client hidden":    {map[string]any{"aal": "aal2", "client_id": "some-client"}, `return event #- '{claims,client_id}';`, false},
		"no longer anon":   {map[string]any{"aal": "aal2", "is_anonymous": true}, `return jsonb_set(event, '{claims,is_anonymous}', 'false');`, false},
		"other role":       {map[string]any{"aal": "aal2"}, `return jsonb_set(event, '{claims,role}', '"banned"');`, false},
		"role hidden":      {map[string]any{"aal": "aal2", "role": "banned"}, `return jsonb_set(event, '{claims,role}', '"authenticated"');`, false},
		"other subject":    {map[string]any{"aal": "aal2"}, `return jsonb_set(event, '{claims,sub}', to_jsonb(gen_random_uuid()));`, false},
		"address hidden":   {map[string]any{"aal": "aal2"}, `return jsonb_set(event, '{claims,email}', '""');`, true},
		"address invented": {map[string]any{"aal": "aal2", "email": ""}, `return jsonb_set(event, '{claims,email}', '"root@example.com"');`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, s)
			w.chain(t, test.body)
			user := w.db.AddUser(t, "ada@example.com")
			asked := claimsOf(user, "ada@example.com")
			for name, value := range test.asked {
				asked[name] = value
			}
			got := w.mintClaims(t, user, asked)
			if got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			key, _ := got.metadata(t)["api_key"].(string)
			if (coderclient.KeyID(key) != "") != test.key {
				t.Errorf("got %s", got.body)
			}
			if users := w.coder.Users(); (len(users) == 1) != test.key || test.key && users[0].Email != "ada@example.com" {
				t.Errorf("Coder has %+v", users)
			}
			var answer struct{ Claims json.RawMessage }
			if err := json.Unmarshal(got.body, &answer); err != nil || len(answer.Claims) == 0 {
				t.Errorf("%v, %s", err, got.body)
			}
		})
	}
}

// Who can't sign is not let near the function.
func TestChainedHookIsForSignedEventsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.chain(t, `return event;`)
	event := w.eventOf(t, uuid.New(), "eve@example.com")
	if got := w.post(t, event, authtest.Sign(t, authtest.SecretB, "id", time.Now(), event)); got.status != http.StatusUnauthorized || w.calls(t) > 0 {
		t.Errorf("%d, %d calls", got.status, w.calls(t))
	}
}
