package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A policy file that can't be taken ends the start with all its faults, and nothing of what stands in it.
func TestConfigOfRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const secret = "s3cr3t-value"
	for name, text := range map[string]string{
		"good": "rules:\n- {name: a, when: profile.plan == 'x', give: {}}", "odd": "rules:\n- {name: A, when: nothing, give: " + secret + "}", "secret": secret,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		set  map[string]string
		want []string // none: no fault
	}{
		"none":        {nil, nil},
		"good":        {map[string]string{"POLICY_FILE": filepath.Join(dir, "good"), "PROFILES_POLICY_COLUMNS": "plan"}, nil},
		"no columns":  {map[string]string{"POLICY_FILE": filepath.Join(dir, "good")}, []string{"POLICY_FILE: line 2: when: undeclared reference"}},
		"odd":         {map[string]string{"POLICY_FILE": filepath.Join(dir, "odd")}, []string{"POLICY_FILE: line 2: name:", "POLICY_FILE: line 2: when:", "POLICY_FILE: line 2: give:"}},
		"another":     {map[string]string{"POLICY_FILE": filepath.Join(dir, "secret")}, []string{"POLICY_FILE: line 1: the file has to have members: rules"}},
		"missing":     {map[string]string{"POLICY_FILE": filepath.Join(dir, "no")}, []string{"POLICY_FILE: no such file"}},
		"folder":      {map[string]string{"POLICY_FILE": dir}, []string{"POLICY_FILE: it is no regular file"}},
		"mode":        {map[string]string{"POLICY_MODE": "off"}, []string{`POLICY_MODE: "off" is not known; set one of enforce, audit`}},
		"grace":       {map[string]string{"INELIGIBLE_GRACE": "1m"}, []string{"INELIGIBLE_GRACE: 1m0s is too short"}},
		"key column":  {map[string]string{"PROFILES_POLICY_COLUMNS": "plan,api_key"}, []string{"PROFILES_POLICY_COLUMNS: policy column \"api_key\" is the one with the keys"}},
		"prefix":      {map[string]string{"CODER_USERNAME_PREFIX": "sb-"}, nil},
		"odd prefix":  {map[string]string{"CODER_USERNAME_PREFIX": "9"}, []string{`CODER_USERNAME_PREFIX: "9" can't begin a username`}},
		"two hyphens": {map[string]string{"CODER_USERNAME_PREFIX": "a--"}, []string{"CODER_USERNAME_PREFIX: "}},
		"long prefix": {map[string]string{"CODER_USERNAME_PREFIX": strings.Repeat("a", 17)}, []string{"CODER_USERNAME_PREFIX: "}},
	} {
		variables := goodVariables()
		for name, value := range test.set {
			variables[name] = value
		}
		_, err := read(variables)
		switch {
		case len(test.want) == 0 && err != nil:
			t.Errorf("%s: %v", name, err)
		case len(test.want) > 0 && err == nil:
			t.Errorf("%s: no fault", name)
		case err != nil && strings.Contains(err.Error(), secret):
			t.Errorf("%s: it shows what stands in the file: %v", name, err)
		}
		for _, want := range test.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		}
	}
}
