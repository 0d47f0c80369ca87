package rules_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"coderhook/hook/rules"
)

// Each rule of the file that operators begin with does what it says.
func TestOperatorsFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../testdata/ops/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := rules.Parse(text, []string{"blocked"})
	if err != nil {
		t.Fatal(err)
	}
	if warnings := policy.Warnings(); len(warnings) > 0 {
		t.Error(warnings)
	}
	const claims = `{"sub":"s","email":"EMAIL","aal":"AAL","app_metadata":APP,"user_metadata":{"plan":"pro"}}`
	decided := make(map[string]bool)
	for name, test := range map[string]struct {
		email, aal, app, profile, want string
		confirmed, key                 bool
	}{
		"staff with a second factor":    {"ada@Example.com", "aal2", `{}`, `{}`, "staff", true, true},
		"staff without":                 {"ada@example.org", "aal1", `{}`, `{}`, "staff", true, false},
		"staff, not confirmed":          {"ada@example.com", "aal2", `{}`, `{}`, "others", false, false},
		"a domain that ends like ours":  {"ada@evil-example.com", "aal2", `{}`, `{}`, "trial", true, true},
		"a domain that begins like it":  {"ada@example.com.evil.net", "aal2", `{}`, `{}`, "trial", true, true},
		"two at signs":                  {"ada@example.com@evil.net", "aal2", `{}`, `{}`, "trial", true, true},
		"blocked staff":                 {"ada@example.com", "aal2", `{}`, `{"blocked":true}`, "blocked", true, false},
		"not blocked":                   {"ada@example.net", "aal1", `{"plan":"pro"}`, `{"blocked":false}`, "paying", false, true},
		"a partner":                     {"ada@partner.net", "aal1", `{"provider":"sso:1","providers":["sso:1"]}`, `{}`, "partners", false, true},
		"a plan":                        {"ada@example.net", "aal1", `{"plan":"team"}`, `{}`, "paying", false, true},
		"another plan":                  {"ada@example.net", "aal1", `{"plan":"free"}`, `{}`, "others", false, false},
		"a plan that is no text":        {"ada@example.net", "aal1", `{"plan":["pro"]}`, `{}`, "others", false, false},
		"a confirmed address":           {"ada@example.net", "aal1", `{}`, `{}`, "trial", true, true},
		"a plan of the user's own word": {"ada@example.net", "aal1", `{}`, `{}`, "others", false, false},
	} {
		facts := rules.Facts{
			Claims:  []byte(strings.NewReplacer("EMAIL", test.email, "AAL", test.aal, "APP", test.app).Replace(claims)),
			Session: true, Created: time.Now(), Profile: []byte(test.profile),
		}
		if test.confirmed {
			facts.ConfirmedEmail = strings.ToLower(test.email)
		}
		d := policy.Decide(facts)
		if decided[d.Rule] = true; d.Rule != test.want || d.Key() != test.key {
			t.Errorf("%s: %+v", name, d)
		}
	}
	for _, rule := range policy.Rules {
		if !decided[rule.Name] {
			t.Errorf("nothing tries rule %s", rule.Name)
		}
	}
}
