package rules_test

import (
	"strings"
	"testing"
	"time"

	"coderhook/hook/rules"
)

const sample = `{"sub":"11111111-2222-4333-8444-555555555555","email":"Ada@Example.com","exp":1790000000,"role":"authenticated","aal":"aal1",
 "amr":[{"method":"password","timestamp":1}],"app_metadata":{"provider":"google","providers":["google","email"],"plan":"pro","seats":5,"n":null},
 "user_metadata":{"plan":"enterprise"}}`

// session are the facts of a token.
func session() rules.Facts {
	return rules.Facts{
		Claims: []byte(sample), Session: true, ConfirmedEmail: "ada@example.com", Created: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		Profile: []byte(`{"tier":"gold","blocked":null}`),
	}
}

func compiled(t *testing.T, source string) *rules.Expr {
	t.Helper()
	e, err := rules.Compile(source, []string{"tier", "blocked"})
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return e
}

func TestConditionsOfASession(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]rules.Truth{
		`true`:                              rules.Yes,
		`user.domain == "example.com"`:      rules.Yes,
		`user.email == "ada@example.com"`:   rules.Yes,
		`claims.email == "ada@example.com"`: rules.No, // as it stands there
		`user.email.endsWith("ample.com")`:  rules.Yes,
		`user.confirmed && user.created < timestamp("2026-06-01T00:00:00Z")`: rules.Yes,
		`user.provider == "google" && "email" in user.providers`:             rules.Yes,
		`claims.app_metadata.plan in ["pro", "team"]`:                        rules.Yes,
		`claims.app_metadata.seats >= 5`:                                     rules.Yes,
		`claims["app_metadata"]["plan"] == "pro"`:                            rules.Yes,
		`has(claims.app_metadata.trial)`:                                     rules.No,
		`has(claims.app_metadata.n) && claims.app_metadata.n == null`:        rules.Yes,
		`claims.aal == "aal2"`:                                               rules.No,
		`claims.amr.exists(m, m.method == "password")`:                       rules.Yes,
		`profile.tier == "gold" && profile.blocked == null`:                  rules.Yes,
		`user.email.matches("^[a-z]+@example[.]com$")`:                       rules.Yes,
	} {
		if got, err := compiled(t, source).Holds(session()); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", source, got, err, want)
		}
	}
}

// Of a user it is not known what their sessions' claims say; what is the same in all of them is.
func TestConditionsOfAUser(t *testing.T) {
	t.Parallel()
	user := session()
	user.Session = false
	for source, want := range map[string]rules.Truth{
		`claims.app_metadata.plan == "pro"`:                          rules.Yes,
		`claims.app_metadata.plan == "free" && claims.aal == "aal2"`: rules.No,
		`claims.app_metadata.plan == "pro" && claims.aal == "aal2"`:  rules.Depends,
		`claims.app_metadata.plan == "pro" || claims.aal == "aal2"`:  rules.Yes,
		`claims.aal == "aal2"`:                                       rules.Depends,
		`has(claims.amr)`:                                            rules.Depends,
		`claims.amr.exists(m, m.method == "totp")`:                   rules.Depends,
		`"aal" in claims`:                                            rules.Depends,
		`user.domain == "example.com" && user.confirmed`:             rules.Yes,
		`has(claims.client_id) ? false : user.confirmed`:             rules.Depends,
	} {
		if got, err := compiled(t, source).Holds(user); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", source, got, err, want)
		}
	}
}

// The cost is not counted where the facts are too small for it to matter: a list as long as they may be costs no more than it may.
func TestCostIsCountedWhereItMayBeTooMuch(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]int{
		`claims.aal == "aal2" && user.confirmed`:                         256 << 10,
		`claims.amr.exists(m, m.method == "password")`:                   2 << 10,
		`claims.l.all(a, a != 2)`:                                        2 << 10,
		`claims.l.all(a, claims.l.all(b, a != b))`:                       0,
		`claims.app_metadata.plan.matches("^(pro|team)$")`:               64 << 10,
		`(claims.l + claims.l).all(a, a != 2)`:                           1 << 10,
		`claims.app_metadata.plan in ["pro", "team"] || "x" in claims.l`: 16 << 10,
	} {
		e := compiled(t, source)
		if got := rules.CheapUpTo(e); got != want {
			t.Errorf("%s: up to %d bytes, want %d", source, got, want)
		}
		facts := session()
		facts.Claims = []byte(`{"l":[` + strings.Repeat("1,", want/2) + `1]}`)
		if _, err := rules.HoldsCounted(e, facts); err != nil && err.Error() == "it costs too much" {
			t.Errorf("%s: costs too much with %d elements", source, want/2+1)
		}
	}
}

// What can't be evaluated holds not, and the error shows no value: a key may be among them.
func TestFaultsShowNoValues(t *testing.T) {
	t.Parallel()
	facts := session()
	facts.Claims = []byte(strings.Replace(sample, `"plan":"pro"`, `"api_key":"s3cr3tvalu-0123456789012345678901"`, 1))
	for source, want := range map[string]string{
		`claims.app_metadata.plan == "pro"`:                     "there is no member plan",
		`claims.app_metadata.seats`:                             "a value is of another type",
		`claims.app_metadata.api_key > 5`:                       "a value is of another type",
		`int(claims.app_metadata.api_key) > 5`:                  "a value can't be used in that way",
		`timestamp(claims.app_metadata.api_key) > user.created`: "a value can't be used in that way",
		`{"a":1}[claims.app_metadata.api_key] == 1`:             "a value can't be used in that way",
	} {
		got, err := compiled(t, source).Holds(facts)
		if got != rules.No || err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v; want %q", source, got, err, want)
		}
	}
	facts.Claims = []byte(`{"app_metadata":`)
	if got, err := compiled(t, `claims.app_metadata.plan != "pro"`).Holds(facts); got != rules.No || err == nil {
		t.Errorf("broken claims: %v, %v", got, err)
	}
}

func TestWhatIsNoCondition(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		``:                                    "1:1: Syntax error",
		"user.confirmed &&\n user.emial":      "2:6: undeclared reference",
		`claim.aal == "aal2"`:                 "1:1: undeclared reference",
		`profile.plan == "x"`:                 "1:8: undeclared reference",
		`user.email`:                          "1:1: it is no condition: it gives a string",
		`user.email == 5`:                     "1:12: found no matching overload",
		`user.email.matches("(")`:             "invalid matches argument",
		`user.email.matches(user.domain)`:     "matches: the pattern has to be written there",
		`user.email.matches("(a{100}){100}")`: "1:",
		`"` + strings.Repeat("a", 5000) + `" == user.email`:                   "more than 4096 bytes",
		`claims.l.all(a, claims.l.all(b, claims.l.all(c, a == b && b == c)))`: "1:",
		strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500):          "1:",
	} {
		_, err := rules.Compile(source, []string{"tier"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v; want %q", source, err, want)
		}
	}
}

// A user's own metadata, as long as Supabase lets them make it, costs a bounded time.
func TestAnExpensiveConditionIsGivenUp(t *testing.T) {
	t.Parallel()
	long := `{"sub":"s","email":"a@example.com","app_metadata":{},"user_metadata":{"list":[` + strings.TrimSuffix(strings.Repeat(`"aaaaaaaaaa",`, 50_000), ",") +
		`],"text":"` + strings.Repeat("a", 300_000) + `"}}`
	facts := rules.Facts{Claims: []byte(long), Session: true}
	for _, source := range []string{
		`claims.user_metadata.list.all(a, claims.user_metadata.list.all(b, a == b))`,
		`claims.user_metadata.list.map(a, a + a + a + a).size() > 5`,
		`claims.user_metadata.text.matches("(a|aa|aaa)*b")`,
	} {
		e := compiled(t, source)
		began := time.Now()
		got, err := e.Holds(facts)
		if got != rules.No || err == nil || err.Error() != "it costs too much" {
			t.Errorf("%s: %v, %v", source, got, err)
		}
		t.Logf("%s: %s", source, time.Since(began))
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	var told []string
	for _, part := range compiled(t, `user.confirmed && (claims.aal == "aal2" || claims.app_metadata.team == "x")`).Parts(session()) {
		text := part.Source + ": " + part.Truth.String()
		if part.Err != nil {
			text += " (" + part.Err.Error() + ")"
		}
		told = append(told, text)
	}
	want := `user.confirmed: yes; claims.aal == "aal2": no; claims.app_metadata.team == "x": no (there is no member team)`
	if got := strings.Join(told, "; "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
