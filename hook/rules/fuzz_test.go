package rules_test

import (
	"errors"
	"testing"

	"coderhook/hook/rules"
)

// What is left undecoded, and a cost that is not counted, changes nothing of what comes of a condition.
func FuzzCondition(f *testing.F) {
	for _, source := range []string{
		`user.domain in ["example.org", "example.com"] && user.confirmed`, `claims.app_metadata.plan == "pro"`, `claims["app_metadata"].plan in ["pro"]`,
		`has(claims.app_metadata.trial) && claims.app_metadata.trial`, `"google" in user.providers`, `profile.tier == "gold"`,
		`claims.amr.exists(m, m.method == "password")`, `claims.app_metadata == claims.app_metadata`, `"plan" in claims.app_metadata`, `claims.app_metadata.size() == 5`,
		`claims.app_metadata.all(k, k != "seats")`, `"aal" in claims && claims.aal < "aal2"`, `claims.app_metadata.providers.exists(p, p == user.provider)`,
		`claims[claims.aal] == 1`, `claims.amr[0].method == "password"`, `claims.app_metadata.n == null`, `claims.user_metadata.plan + claims.app_metadata.plan == "x"`,
		`claims.amr.exists(a, claims.amr.exists(b, a == b))`, `[claims].exists(c, c.aal == "aal1")`, `[1].exists(claims, claims == 1)`, `claims.exp > 5.0`,
	} {
		f.Add(source, []byte(sample))
	}
	for _, text := range []string{
		`{"app_metadata":5}`, `{"app_metadata":{"plan":{"plan":"pro"}},"app_metadata":{"pl\u0061n":"pro"}}`, `{"amr":[[],{},"x",1e3,-0,true,null]}`, `[]`, `null`, `{"aal":"\ud800"}`,
		`{"app_metadata":{"plan":"pro"}`, ``,
	} {
		f.Add(`claims.app_metadata.plan == "pro" || claims.amr.exists(m, m == 1.0)`, []byte(text))
	}
	f.Fuzz(func(t *testing.T, source string, claims []byte) {
		e, err := rules.Compile(source, []string{"tier", "blocked"})
		if err != nil {
			return
		}
		facts := session()
		for _, facts.Session = range []bool{true, false} {
			facts.Claims = claims
			got, err := e.Holds(facts)
			want, counted := rules.HoldsCounted(e, facts)
			if counted != nil && errors.Is(counted, rules.ErrClaims) {
				continue // such as a number that is out of range, in what no condition looks at
			}
			if got != want || (err == nil) != (counted == nil) || err != nil && err.Error() != counted.Error() {
				t.Fatalf("%s, session %v: %v, %v; with all of %s decoded and the cost counted %v, %v", source, facts.Session, got, err, claims, want, counted)
			}
		}
	})
}
