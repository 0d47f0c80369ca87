package ops

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// supabase is what our file is added to: the two services of Supabase's own that it names.
const supabase = `
name: supabase
services:
  db:
    image: supabase/postgres
    healthcheck: {test: [CMD, pg_isready]}
  auth:
    image: supabase/gotrue
    environment: {GOTRUE_API_PORT: 9999}
    depends_on: {db: {condition: service_healthy}}
`

func composed(t *testing.T, env map[string]string) (*types.Project, error) {
	t.Helper()
	ours, err := os.ReadFile(root + "/testdata/ops/compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: t.TempDir(), Environment: env,
		ConfigFiles: []types.ConfigFile{{Filename: "docker-compose.yml", Content: []byte(supabase)}, {Filename: "coderhook.yml", Content: ours}},
	})
}

// Their .env, as far as we use it, with our two lines.
func supabaseEnv() map[string]string {
	return map[string]string{
		"POSTGRES_PASSWORD": "secret", "POSTGRES_HOST": "db", "POSTGRES_PORT": "5432", "POSTGRES_DB": "postgres",
		"JWT_SECRET": "your-super-secret-jwt-token-with-at-least-32-characters-long", "SITE_URL": "http://localhost:3000",
		"CODERHOOK_SECRETS": contents["hook-secrets"], "CODER_URL": "http://host.docker.internal:3000",
	}
}

func TestComposeAddsToSupabase(t *testing.T) {
	project, err := composed(t, supabaseEnv())
	if err != nil {
		t.Fatal(err)
	}
	auth, server, migrate := project.Services["auth"], project.Services["coderhook"], project.Services["coderhook-migrate"]
	value := func(s types.ServiceConfig, name string) string {
		if v := s.Environment[name]; v != nil {
			return *v
		}
		return ""
	}
	uri := value(auth, "GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_URI")
	host, _, _ := strings.Cut(strings.TrimPrefix(uri, "http://"), ":")
	if value(auth, "GOTRUE_API_PORT") != "9999" || value(auth, "GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_SECRETS") != value(server, "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS") {
		t.Error("Supabase Auth has lost what it had, or has another secret than the server")
	}
	if host != "host.docker.internal" || !slices.Contains(server.Networks["default"].Aliases, host) {
		t.Errorf("Supabase Auth calls %s, and the server is called %v", uri, server.Networks["default"].Aliases)
	}
	for _, port := range server.Ports {
		if port.Target == 8787 || port.HostIP != "127.0.0.1" {
			t.Errorf("port %d is open at %q", port.Target, port.HostIP)
		}
	}
	if condition := server.DependsOn["coderhook-migrate"].Condition; condition != types.ServiceConditionCompletedSuccessfully {
		t.Errorf("the server waits for its migration to be %q", condition)
	}
	if !slices.Equal(migrate.Command, types.ShellCommand{"migrate", "--allow-readable-keys"}) {
		t.Errorf("the server waits for %v to end well", migrate.Command)
	}
	for _, s := range []types.ServiceConfig{server, migrate} {
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s has rights that it does not need", s.Name)
		}
	}
	mustStart(t, variablesOf(server))
}

// The way without keys in the claims takes the lines in .env that README names, and no other file.
func TestComposeTurnsTheGatewayOn(t *testing.T) {
	env := supabaseEnv()
	env["GATEWAY"], env["KEY_IN_CLAIMS"] = "on", "false"
	project, err := composed(t, env)
	if err != nil {
		t.Fatal(err)
	}
	variables := variablesOf(project.Services["coderhook"])
	if variables["GATEWAY"] != "on" || variables["KEY_IN_CLAIMS"] != "false" {
		t.Errorf("got %v", variables)
	}
	mustStart(t, variables)
}

func variablesOf(service types.ServiceConfig) map[string]string {
	variables := make(map[string]string)
	for name, value := range service.Environment {
		variables[name] = *value
	}
	return variables
}

func TestComposeNamesWhatIsMissing(t *testing.T) {
	for _, name := range []string{"CODERHOOK_SECRETS", "CODER_URL"} {
		env := supabaseEnv()
		delete(env, name)
		if _, err := composed(t, env); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
