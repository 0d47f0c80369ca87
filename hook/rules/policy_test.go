package rules_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coderhook/hook/metrics"
	"coderhook/hook/rules"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
)

func parsed(t *testing.T, text string) *rules.Policy {
	t.Helper()
	p, err := rules.Parse([]byte(text), []string{"tier"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const plans = `
rules:
  - name: blocked
    when: profile.tier == "blocked"
    give: none
    reason: your account is blocked
  - name: team
    when: claims.app_metadata.plan == "team"
    give: {aal: aal2, organization: teams}
  - name: pro
    when: |
      claims.app_metadata.plan == "pro" &&
      user.confirmed
    give: {}
`

func TestTheFirstRuleThatHoldsDecides(t *testing.T) {
	t.Parallel()
	p := parsed(t, plans)
	for name, test := range map[string]struct {
		plan, tier, aal, rule, reason string
		key                           bool
	}{
		"pro":             {"pro", "x", "aal1", "pro", "", true},
		"blocked":         {"pro", "blocked", "aal2", "blocked", "your account is blocked", false},
		"nobody's":        {"free", "x", "aal1", "", rules.ReasonNone, false},
		"team, one step":  {"team", "x", "aal1", "team", rules.ReasonAAL, false},
		"team, two steps": {"team", "x", "aal2", "team", "", true},
	} {
		facts := session()
		facts.Claims = []byte(strings.Replace(strings.Replace(sample, `"plan":"pro"`, `"plan":"`+test.plan+`"`, 1), "aal1", test.aal, 1))
		facts.Profile = []byte(`{"tier":"` + test.tier + `"}`)
		d := p.Decide(facts)
		if d.Rule != test.rule || d.Key() != test.key || !test.key && d.Reason != test.reason {
			t.Errorf("%s: %+v", name, d)
		}
		if d.Ineligible() != (d.Give == nil) {
			t.Errorf("%s: ineligible is about the user, not about the session: %+v", name, d)
		}
	}
}

// A user is ineligible only where no session of theirs could be given a key.
func TestARuleThatDependsOnTheSession(t *testing.T) {
	t.Parallel()
	user := session()
	user.Session = false
	for when, want := range map[string]struct{ ineligible, depends bool }{
		`claims.aal == "aal2"`: {false, true},
		`claims.aal == "aal2" && claims.app_metadata.plan == "free"`: {true, false},
		`user.confirmed`:  {false, false},
		`!user.confirmed`: {true, false},
	} {
		d := parsed(t, "rules:\n- {name: a, when: '"+when+"', give: {}}").Decide(user)
		if d.Ineligible() != want.ineligible || d.Depends != want.depends {
			t.Errorf("%s: %+v", when, d)
		}
	}
	d := parsed(t, "rules:\n- {name: a, when: 'claims.aal == \"aal1\"', give: none}\n- {name: b, when: 'true', give: {}}").Decide(user)
	if d.Ineligible() || !d.Depends || d.Rule != "b" {
		t.Errorf("some sessions get none: %+v", d)
	}
}

// Every fault is named with its line, and no value of the file is shown: it may be the wrong file.
func TestFaultyFiles(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	for text, want := range map[string]string{
		"": "it is empty",
		"rules: [{name: a, when: 'true', give: {}}]\n---\nrules: [{name: b, when: 'true', give: none}]": "line 2: a second document begins",
		secret:                              "line 1: the file has to have members: rules",
		"- a\n- b":                          "line 1: the file has to have members: rules",
		"rules: {":                          "line 1: it is no YAML",
		"a: b: c: " + secret:                "it is no YAML",
		"rules: []":                         "line 1: rules is no list",
		"rule:\n- {}":                       "line 1: the file has no member of this name; it has rules",
		secret + ": 1":                      "line 1: the file has no member of this name",
		"rules:\n- {name: a, when: 'true'}": "line 2: a rule lacks give",
		"rules:\n- {name: A b, when: 'true', give: none}":                                  "line 2: name: ",
		"rules:\n- {name: a, when: 'true', give: some}":                                    "line 2: give: write none",
		"rules:\n- {name: a, when: 'true', give: none, then: " + secret + "}":              "line 2: a rule has no member of this name; it has give, name, reason, when",
		"rules:\n- {name: a, when: 'true', give: {scope: all}}":                            "line 2: give has no member of this name; it has aal, allow_list, in_claims, lifetime, organization, scopes",
		"rules:\n- {name: a, when: 'true', give: {scopes: [all]}}":                         "line 2: scopes: write them like",
		"rules:\n- {name: a, when: 'true', give: {scopes: all}}":                           "line 2: scopes has to be a list",
		"rules:\n- {name: a, when: 'true', give: {lifetime: 5}}":                           "line 2: lifetime: write it like 720h",
		"rules:\n- {name: a, when: 'true', give: {lifetime: -720h}}":                       "line 2: lifetime: write it like 720h",
		"rules:\n- {name: a, when: 'true', give: {aal: 2}}":                                "line 2: aal: write",
		"rules:\n- {name: a, when: 'true', give: {allow_list: [x]}}":                       "line 2: allow_list: write them like",
		"rules:\n- {name: a, when: 'true', give: {organization: '../x'}}":                  "line 2: organization: write",
		"rules:\n- {name: a, when: 'true', give: {}, reason: no}":                          "line 2: reason is for rules with give: none",
		"rules:\n- {name: a, when: 'true', give: none, reason: 'say \"x\"'}":               "line 2: reason: it may have",
		"rules:\n- {name: a, when: 'true', when: 'true', give: {}}":                        "line 2: a rule has when twice",
		"rules:\n- {name: a, when: 'true', give: {}}\n- {name: a, when: 'true', give: {}}": "line 3: two rules have the same name",
		"rules:\n- name: a\n  when: user.emial == 'x'\n  give: {}":                         "line 3: when: undeclared reference to 'user",
		"rules:\n- name: a\n  when: |\n    true &&\n    nothing\n  give: {}":               "line 5: when: undeclared reference to 'nothing'",
		"rules:\n- name: a\n  when: &x 'true'\n  give: {}":                                 "line 3: when: anchors and aliases are not taken",
		"a: &a [x,x,x]\nrules: [*a,*a]":                                                    "line 1: the file has no member of this name",
		"rules:\n" + strings.Repeat("- {}\n", 101):                                         "more than 100 rules",
		"rules:\n" + strings.Repeat("#", rules.MaxFile):                                    "it has more than",
		"rules:\n- &a [*a]":         "",
		strings.Repeat("[", 20_000): "",
	} {
		_, err := rules.Parse([]byte(text), nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%.60q: %.300v; want %q", text, err, want)
		}
	}
	_, err := rules.Parse([]byte("rules:\n- {name: A, when: x, give: y}\n- {}"), nil)
	if err == nil || strings.Count(err.Error(), "\n") < 5 {
		t.Errorf("not all faults at once: %v", err)
	}
}

func TestGrantsAreTheSameWhateverTheirOrder(t *testing.T) {
	t.Parallel()
	p := parsed(t, `
rules:
  - {name: a, when: user.domain == "a", give: {scopes: ["workspace:read", "template:read"], allow_list: ["workspace:*"]}}
  - {name: b, when: user.domain == "b", give: {scopes: ["template:read", "workspace:read", "template:read"], allow_list: ["workspace:*"]}}
  - {name: c, when: user.domain == "c", give: {}}
`)
	if a, b := p.Rules[0].Give.Grant, p.Rules[1].Give.Grant; a == "" || a != b {
		t.Errorf("%s and %s", a, b)
	}
	if c := p.Rules[2].Give.Grant; c != "" {
		t.Errorf("{} is not as without rules: %s", c)
	}
}

func TestWarningOfWhatUsersWriteThemselves(t *testing.T) {
	t.Parallel()
	for when, warned := range map[string]bool{
		`claims.user_metadata.plan == "pro"`:    true,
		`claims["user_metadata"].plan == "pro"`: true,
		`"x" in claims`:                         true,
		`claims.app_metadata.plan == "pro"`:     false,
	} {
		p := parsed(t, "rules:\n- {name: a, when: '"+when+"', give: {}}")
		if got := len(p.Warnings()) > 0; got != warned {
			t.Errorf("%s: warned %v", when, got)
		}
	}
	if p := parsed(t, "rules:\n- {name: a, when: claims.user_metadata.left == true, give: none}"); len(p.Warnings()) > 0 {
		t.Error("who keeps a key from themselves is warned of")
	}
}

func TestAFileThatChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rules:\n- {name: a, when: 'true', give: {}}")
	source := rules.Source{Path: path}
	first, err := source.Read()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	live := rules.NewLive(source, first, metrics.New(), zerolog.New(&log))
	decided := func() string { return live.Decide(live.Current(), session()).Rule }
	live.Reread()
	if decided() != "a" || log.Len() > 0 {
		t.Errorf("unchanged: %s %s", decided(), &log)
	}
	write("rules:\n- {name: b, when: 'true', give: {}, s3cr3t: x}")
	live.Reread()
	live.Reread()
	if decided() != "a" || live.Check(t.Context()) == nil || strings.Count(log.String(), "line 2: a rule has no member") != 1 || strings.Contains(log.String(), "s3cr3t") {
		t.Errorf("faulty: %s %s", decided(), &log)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	live.Reread()
	if decided() != "a" || live.Check(t.Context()) == nil {
		t.Errorf("gone: %s", decided())
	}
	write("")
	if live.Reread(); live.Check(t.Context()) == nil || !strings.Contains(live.Check(t.Context()).Error(), "it is empty") {
		t.Errorf("there again, and empty: %v", live.Check(t.Context()))
	}
	write("rules:\n- {name: b, when: claims.app_metadata.none == 1, give: {}}\n- {name: c, when: 'true', give: none}")
	live.Reread()
	log.Reset()
	for range 2 {
		if got := decided(); got != "c" || live.Check(t.Context()) != nil {
			t.Errorf("mended: %s, %v", got, live.Check(t.Context()))
		}
	}
	if strings.Count(log.String(), "there is no member none") != 1 {
		t.Errorf("not told once: %s", &log)
	}
}

// Metrics have the rules of the file, and not those of all files that there ever were.
func TestMetricsForgetRules(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	source := rules.Source{Path: path}
	reg := metrics.New()
	var live *rules.Live
	for _, name := range []string{"a", "b", "c", "d"} {
		if err := os.WriteFile(path, []byte("rules:\n- {name: "+name+", when: 'true', give: {}}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if live == nil {
			first, err := source.Read()
			if err != nil {
				t.Fatal(err)
			}
			live = rules.NewLive(source, first, reg, zerolog.Nop())
		}
		live.Reread()
		live.Decide(live.Current(), session())
	}
	if n, err := testutil.GatherAndCount(reg, "coderhook_policy_decisions_total"); err != nil || n != 1 {
		t.Errorf("%d series, %v", n, err)
	}
}
