package rules_test

import (
	"strings"
	"testing"

	"coderhook/hook/rules"
)

const byFactor = `
rules:
  - {name: strong, when: claims.aal == "aal2", give: {}}
  - {name: weak, when: "true", give: {scopes: ["workspace:read"]}}
`

// Only where a condition asks for the session, and rules give more than one set, may a user have more than one key.
func TestWhereAUserHasMoreThanOneKey(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		byFactor: true,
		strings.Replace(byFactor, `{scopes: ["workspace:read"]}`, "none", 1):                                                  false,
		strings.Replace(byFactor, `{scopes: ["workspace:read"]}`, "{organization: x}", 1):                                     false,
		strings.Replace(byFactor, `{scopes: ["workspace:read"]}`, "{lifetime: 24h}", 1):                                       true,
		strings.Replace(byFactor, `{scopes: ["workspace:read"]}`, "{in_claims: false}", 1):                                    true,
		strings.Replace(byFactor, `claims.aal == "aal2"`, `claims.app_metadata.plan == "pro"`, 1):                             false,
		"rules:\n- {name: all, when: 'claims.aal == \"aal2\"', give: {}}\n- {name: b, when: 'true', give: {aal: aal2}}":       false,
		strings.Replace(byFactor, `claims.aal == "aal2"`, `'claims.amr.exists(m, m.method == "totp")'`, 1):                    true,
		strings.Replace(byFactor, `give: {}`, `give: {scopes: ["workspace:read"]}`, 1):                                        false,
		strings.Replace(byFactor, `give: {}`, `give: {scopes: ["workspace:read"], in_claims: false}`, 1):                      true,
		strings.Replace(byFactor, `give: {}`, `give: {scopes: ["workspace:read"], allow_list: ["workspace:*"]}`, 1):           true,
		strings.Replace(byFactor, `give: {}`, `give: {scopes: ["workspace:read", "workspace:read"], organization: other}`, 1): false,
	} {
		if got := parsed(t, text).Several(); got != want {
			t.Errorf("%v: %s", got, text)
		}
	}
}

// The profile has the widest that may be in a token, and all others stand beside it.
func TestWhichKeyTheProfileHas(t *testing.T) {
	t.Parallel()
	user := session()
	user.Session = false
	for name, test := range map[string]struct {
		gives []string
		home  int // -1: none
	}{
		"no scopes are all":                   {[]string{`{scopes: ["workspace:read"]}`, `{}`}, 1},
		"coder:all, too":                      {[]string{`{scopes: ["workspace:read"]}`, `{scopes: ["coder:all"]}`}, 1},
		"more of them":                        {[]string{`{scopes: ["workspace:read"]}`, `{scopes: ["template:read", "workspace:read"]}`, `{scopes: ["template:read"]}`}, 1},
		"a star":                              {[]string{`{scopes: ["workspace:read", "workspace:ssh"]}`, `{scopes: ["workspace:*"]}`}, 1},
		"neither includes the other":          {[]string{`{scopes: ["workspace:read"]}`, `{scopes: ["template:read", "user:read"]}`}, 0},
		"but a later one does":                {[]string{`{scopes: ["workspace:read"]}`, `{scopes: ["template:read"]}`, `{scopes: ["template:*", "workspace:*"]}`}, 2},
		"allow_list":                          {[]string{`{allow_list: ["workspace:*"]}`, `{allow_list: ["*:*"]}`}, 1},
		"one is wider in each":                {[]string{`{scopes: ["workspace:read"]}`, `{allow_list: ["workspace:*"]}`}, 0},
		"lifetimes do not count":              {[]string{`{lifetime: 24h}`, `{lifetime: 48h}`}, 0},
		"not one that rules keep out":         {[]string{`{in_claims: false}`, `{scopes: ["workspace:read"]}`}, 1},
		"none, where they keep all out":       {[]string{`{in_claims: false}`, `{scopes: ["workspace:read"], in_claims: false}`}, -1},
		"that which they let in all the same": {[]string{`{scopes: ["workspace:read"], in_claims: true}`, `{in_claims: true}`}, 1},
	} {
		text := "rules:\n"
		for i, give := range test.gives {
			text += "- {name: r" + string(rune('a'+i)) + ", when: 'claims.aal == \"" + string(rune('a'+i)) + "\"', give: " + give + "}\n"
		}
		p := parsed(t, text)
		sets := p.Sets(user, nil)
		for i, rule := range p.Rules {
			if at := sets.Of(rule.Give); (at == "") != (i == test.home) || p.Place(session(), rule.Give) != at {
				t.Errorf("%s: the key of rule %d stands in %q", name, i, at)
			}
		}
		if got := len(sets.Beside()); test.home >= 0 && got != len(test.gives)-1 || test.home < 0 && got != len(test.gives) {
			t.Errorf("%s: %d sets beside the profile", name, got)
		}
	}
}

// Who can be given one key alone has it in the profile, whatever rules give others, and also if it is kept out of tokens.
func TestTheOnlyKeyStandsInTheProfile(t *testing.T) {
	t.Parallel()
	user := session() // of plan pro
	for name, text := range map[string]string{
		"by plan":           `rules: [{name: pro, when: 'claims.app_metadata.plan == "pro"', give: {scopes: ["workspace:read"]}}, {name: strong, when: 'claims.aal == "aal2"', give: {}}]`,
		"kept out":          `rules: [{name: pro, when: 'claims.app_metadata.plan == "pro"', give: {in_claims: false}}, {name: strong, when: 'claims.aal == "aal2"', give: {}}]`,
		"none for weak":     `rules: [{name: weak, when: 'claims.aal == "aal1" && claims.app_metadata.plan == "free"', give: {}}, {name: rest, when: "true", give: {scopes: ["workspace:read"]}}]`,
		"the same for both": `rules: [{name: a, when: 'claims.aal == "aal2"', give: {lifetime: 24h}}, {name: b, when: "true", give: {lifetime: 24h}}]`,
	} {
		p := parsed(t, text)
		d := p.Decide(user)
		sets := p.Sets(rules.Facts{Claims: user.Claims}, d.Give)
		if d.Give == nil || sets.Of(d.Give) != "" || len(sets.Beside()) > 0 || p.Place(user, d.Give) != "" {
			t.Errorf("%s: %+v", name, sets)
		}
	}
}
