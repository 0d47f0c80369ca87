package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the gateway can't do its work with is named before it starts, and README's example of a file is one.
func TestConfigOfTheGateway(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "### The gateway")
	_, rest, _ = strings.Cut(rest, "```\n")
	example, _, _ := strings.Cut(rest, "```")
	dir := t.TempDir()
	for name, text := range map[string]string{"example": example, "odd": "allow GET /api/v2/users/me\nlet in everybody\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		set  map[string]string
		want string // "": no fault
	}{
		"on":             {nil, ""},
		"README's rules": {map[string]string{"GATEWAY_ROUTES_FILE": filepath.Join(dir, "example")}, ""},
		"neither":        {map[string]string{"GATEWAY": "yes"}, `GATEWAY: "yes" is not known`},
		"no tokens":      {map[string]string{"SUPABASE_URL": ""}, "GATEWAY: is on, and nobody's access token can be verified; set SUPABASE_URL"},
		"no pages":       {map[string]string{"CORS_ORIGINS": ""}, "GATEWAY: is on, and no page may call it; set CORS_ORIGINS"},
		"prefix":         {map[string]string{"GATEWAY_PREFIX": "coder"}, `GATEWAY_PREFIX: is "coder"; set a path like /coder`},
		"slash":          {map[string]string{"GATEWAY_PREFIX": "/coder/"}, "without a slash at the end"},
		"odd prefix":     {map[string]string{"GATEWAY_PREFIX": "/a/../b"}, "GATEWAY_PREFIX: "},
		"root":           {map[string]string{"GATEWAY_PREFIX": "/"}, "GATEWAY_PREFIX: "},
		"another route":  {map[string]string{"GATEWAY_PREFIX": "/hooks/coder"}, "that no other route begins with"},
		"no file":        {map[string]string{"GATEWAY_ROUTES_FILE": filepath.Join(dir, "none")}, "GATEWAY_ROUTES_FILE: "},
		"odd file":       {map[string]string{"GATEWAY_ROUTES_FILE": filepath.Join(dir, "odd")}, "line 2"},
		"address":        {map[string]string{"GATEWAY_ADDR": "8790"}, "GATEWAY_ADDR: "},
	} {
		variables := goodVariables()
		variables["GATEWAY"], variables["SUPABASE_URL"], variables["CORS_ORIGINS"] = "on", "https://project.supabase.co", "https://app.example.com"
		for name, value := range test.set {
			variables[name] = value
		}
		c, err := read(variables)
		switch {
		case test.want == "" && (err != nil || !c.Gateway.On || len(c.Gateway.Rules) == 0):
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
}
