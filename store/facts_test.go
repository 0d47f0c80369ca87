package store_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// withColumns is a store whose rules look at two columns of the profile.
func withColumns(t *testing.T, db *storetest.DB) *store.Store {
	t.Helper()
	db.Exec(t, `alter table public.profiles add column plan text, add column "Seats" int`)
	cfg := store.Config{URL: db.RoleURL("product_admin"), PolicyColumns: []string{"plan", "Seats"}}
	if _, err := store.Migrate(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	cfg.URL = db.RoleURL("coderhook")
	return storetest.Open(t, cfg)
}

// What is scanned by position is what its column's name says.
func TestLookupColumnsStandInTheOrderOfTheFields(t *testing.T) {
	t.Parallel()
	columns, fields, err := store.LookupColumns(t.Context(), withColumns(t, storetest.New(t)))
	if diff := cmp.Diff(columns, fields); err != nil || diff != "" {
		t.Errorf("%v, -columns +fields:\n%s", err, diff)
	}
}

func TestLookupOfFacts(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := withColumns(t, db)
	user := db.AddUser(t, "Ada@example.com")
	db.Exec(t, `insert into public.profiles (id, api_key, plan, "Seats") values ($1, 'k', 'pro', 3)`, user)
	account, facts, err := s.LookupFacts(t.Context(), user, true)
	if err != nil {
		t.Fatal(err)
	}
	if account.APIKey != "k" || !facts.Exists || facts.ConfirmedEmail != "" || facts.Created.IsZero() || string(facts.Profile) != `{"plan": "pro", "Seats": 3}` {
		t.Errorf("%+v %+v %s", account, facts, facts.Profile)
	}
	db.Exec(t, `update auth.users set email_confirmed_at = now() where id = $1`, user)
	if _, facts, err = s.LookupFacts(t.Context(), user, true); err != nil || facts.ConfirmedEmail != "ada@example.com" {
		t.Errorf("confirmed: %+v, %v", facts, err)
	}
	if _, facts, err = s.LookupFacts(t.Context(), user, false); err != nil || facts.Exists || !strings.Contains(string(facts.Profile), "pro") {
		t.Errorf("without auth.users: %+v, %v", facts, err)
	}
	if _, facts, err = s.LookupFacts(t.Context(), uuid.New(), true); err != nil || facts.Exists || string(facts.Profile) != `{"plan": null, "Seats": null}` {
		t.Errorf("a stranger: %+v %s, %v", facts, facts.Profile, err)
	}
}

// Whoever named a column without running migrate, or dropped it, is told which variable it is about.
func TestFactsThatCanNotBeRead(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := withColumns(t, db)
	user := db.AddUser(t, "ada@example.com")
	for _, statement := range []string{`revoke select (plan) on public.profiles from coderhook`, `alter table public.profiles drop column plan`} {
		db.Exec(t, statement)
		_, _, err := s.LookupFacts(t.Context(), user, true)
		_, err2 := s.UserFacts(t.Context(), []uuid.UUID{user})
		for _, err := range []error{err, err2} {
			if err == nil || !strings.Contains(err.Error(), "PROFILES_POLICY_COLUMNS") || strings.Contains(err.Error(), "auth_users_state") {
				t.Errorf("%s: %v", statement, err)
			}
		}
	}
}

func TestFactsOfUsers(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := withColumns(t, db)
	ada, bob, banned := db.AddUser(t, "ada@example.com"), db.AddUser(t, "bob@example.com"), db.AddUser(t, "eve@example.com")
	db.Exec(t, `update auth.users set banned_until = now() + interval '1 day' where id = $1`, banned)
	db.Exec(t, `update auth.users set raw_app_meta_data = '{"plan":"pro"}', raw_user_meta_data = 'null', role = 'authenticated' where id = $1`, ada)
	living, err := s.LivingUsers(t.Context(), uuid.Nil, 10)
	if err != nil || len(living) != 2 || slices.Contains(living, banned) {
		t.Fatalf("%v, %v", living, err)
	}
	if rest, err := s.LivingUsers(t.Context(), living[0], 10); err != nil || len(rest) != 1 || rest[0] != living[1] {
		t.Errorf("second page: %v, %v", rest, err)
	}
	facts, err := s.UserFacts(t.Context(), []uuid.UUID{ada, bob, uuid.New()})
	if err != nil || len(facts) != 3 {
		t.Fatalf("%+v, %v", facts, err)
	}
	for _, f := range facts {
		switch {
		case f.UserID == ada:
			var claims struct {
				Sub, Email, Role string
				AppMetadata      struct{ Plan string } `json:"app_metadata"`
				UserMetadata     map[string]any        `json:"user_metadata"`
			}
			if err := json.Unmarshal(f.Claims, &claims); err != nil || claims.Sub != ada.String() || claims.Email != "ada@example.com" ||
				claims.Role != "authenticated" || claims.AppMetadata.Plan != "pro" || claims.UserMetadata == nil {
				t.Errorf("%s, %v", f.Claims, err)
			}
		case f.UserID == bob:
			if !f.Exists {
				t.Errorf("%+v", f)
			}
		case f.Exists || f.Claims != nil:
			t.Errorf("a stranger: %+v", f)
		}
	}
}

// The facts are for the server, not for the roles of the Data API.
func TestFactsAreForNobodyElse(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	for _, role := range []string{"anon", "authenticated", "service_role"} {
		for _, function := range []string{"auth_user_facts(uuid[])", "auth_living_users(uuid,integer)"} {
			if storetest.Query[bool](t, db, `select has_function_privilege($1, 'coderhook.'||$2, 'execute')`, role, function) {
				t.Errorf("%s may call %s", role, function)
			}
		}
	}
}

func TestPolicyColumnsThatCantBe(t *testing.T) {
	t.Parallel()
	for column, want := range map[string]string{"api_key": "the one with the keys", `a"b`: "can't be named", "a b": "can't be named", "": "can't be named", "1a": "can't be named"} {
		err := store.Config{PolicyColumns: []string{column}}.CheckNames()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", column, err)
		}
	}
}
