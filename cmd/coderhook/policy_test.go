package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/store"
	"coderhook/store/storetest"
)

// policyFile writes one, and returns its path.
func policyFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPolicyTestCommand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"recorded": {
			[]string{"--file", "../../testdata/ops/policy.yaml", "--columns", "blocked", "--recorded", "../../testdata/hook", "--confirmed"},
			[]string{"6 rules\n", "03-mfa-totp.json", "rule staff, key, from aal2 on\n"},
		},
		"claims": {
			[]string{"--file", "../../testdata/ops/policy.yaml", "--columns", "blocked", "--claims", "../../testdata/bench/event.json"},
			[]string{"rule paying, key\n", "rule staff", "user.confirmed", "no"},
		},
		"profile": {
			[]string{"--file", "../../testdata/ops/policy.yaml", "--columns", "blocked", "--claims", "../../testdata/bench/event.json", "--profile", `{"blocked":true}`},
			[]string{"rule blocked, no key: your account is blocked"},
		},
		"warning": {
			[]string{"--file", policyFile(t, `rules: [{name: a, when: claims.user_metadata.plan == "pro", give: {}}]`)},
			[]string{"warning: rule a gives a key by what stands in claims.user_metadata, which users write themselves"},
		},
	} {
		out, err := command(t, nil, append([]string{"policy", "test"}, test.args...)...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %s\nwant %q", name, out, want)
			}
		}
	}
	out, err := command(t, nil, "policy", "test", "--file", policyFile(t, "rules:\n- {name: a, when: nothing, give: {}}"))
	if err == nil || !strings.Contains(err.Error(), "line 2: when: undeclared reference to 'nothing'") {
		t.Errorf("%s %v", out, err)
	}
}

// Over all users, and of one: what the rules make of them, whatever the session.
func TestPolicyOverTheDatabase(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.Exec(t, `alter table public.profiles add column tier text`)
	variables := cmdtest.Variables()
	variables["DATABASE_URL"], variables["PROFILES_POLICY_COLUMNS"] = db.RoleURL("product_admin"), "tier"
	if out, err := command(t, variables, "migrate"); err != nil {
		t.Fatal(out, err)
	}
	variables["DATABASE_URL"] = db.RoleURL("coderhook")
	file := policyFile(t, `
rules:
  - {name: gold, when: profile.tier == "gold", give: {}}
  - {name: second, when: claims.aal == "aal2", give: {}}
`)
	ada, bob := db.AddUser(t, "ada@example.com"), db.AddUser(t, "bob@example.com")
	db.Exec(t, `insert into public.profiles (id, tier) values ($1, 'gold')`, ada)
	db.AddUser(t, "eve@example.com")
	db.Exec(t, `update auth.users set banned_until = now() + interval '1 day' where email = 'eve@example.com'`)
	out, err := command(t, variables, "policy", "test", "--file", file, "--all")
	for _, want := range []string{"gold    1      0", "second  1      1", "no rule  0"} {
		if err != nil || !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("%s%v, want %q", out, err, want)
		}
	}
	variables["POLICY_FILE"] = file
	coder := cmdtest.Coder(t)
	variables["CODER_URL"], variables["CODER_OWNER_TOKEN"] = coder.URL, coder.OwnerToken
	for user, want := range map[string][]string{
		ada.String(): {"by the rules: rule gold, key\n", `profile.tier == "gold"`},
		bob.String(): {"by the rules: rule second, key (it depends on the session)\n", "depends on the session"},
	} {
		out, err := command(t, variables, "explain", "--user", user)
		for _, want := range want {
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("%s%v, want %q", out, err, want)
			}
		}
	}
}

// What a chained hook returns is not in the database: neither command calls somebody not eligible for the lack of it.
func TestPolicyBehindAChainedHook(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	file := policyFile(t, `rules: [{name: admins, when: claims.app_metadata.admin == true, give: {}}]`)
	variables := cmdtest.Variables()
	variables["DATABASE_URL"], variables["CODER_URL"], variables["CODER_OWNER_TOKEN"] = db.RoleURL("coderhook"), coder.URL, coder.OwnerToken
	variables["POLICY_FILE"], variables["CHAIN_HOOK"] = file, "public.roles_hook"
	ada := db.AddUser(t, "ada@example.com")
	for want, args := range map[string][]string{
		"admins 1 1":                  {"policy", "test", "--file", file, "--all"},
		"(it depends on the session)": {"explain", "--user", ada.String()},
	} {
		out, err := command(t, variables, args...)
		if err != nil || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("%s%v, want %q", out, err, want)
		}
	}
}

// The whole program takes the file, and takes it again when it changes; a faulty one changes nothing.
func TestPolicyOfTheServer(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	user := db.AddUser(t, "ada@example.com")
	path := policyFile(t, `rules: [{name: nobody, when: "true", give: none, reason: not today}]`)
	p := cmdtest.Start(t, db, coder, "POLICY_FILE="+path)
	if key, status, err := p.Mint(t.Context(), http.DefaultClient, user, "ada@example.com"); err != nil || key != "" || status != string("not_eligible") {
		t.Errorf("%q, %q, %v", key, status, err)
	}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rules:\n- {name: A, when: x, give: {}}")
	p.Becomes(t, `"policy":"degraded"`)
	if key, _, err := p.Mint(t.Context(), http.DefaultClient, user, "ada@example.com"); err != nil || key != "" {
		t.Errorf("by a faulty file: %q, %v", key, err)
	}
	write(`rules: [{name: everybody, when: "true", give: {}}]`)
	cmdtest.Eventually(t, "a key", func() bool {
		key, _, err := p.Mint(t.Context(), http.DefaultClient, user, "ada@example.com")
		return err == nil && key != ""
	})
	p.Stop(t)
	account, err := db.Store(t).Lookup(t.Context(), user)
	if err != nil || account.Status != store.Active {
		t.Errorf("%v, %v", account, err)
	}
}
