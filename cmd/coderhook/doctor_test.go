package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/selfsigned"
	"coderhook/coderclient/codertest"
	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/go-cmp/cmp"
)

// deployment is one that doctor looks at.
type deployment struct {
	db        *storetest.DB
	coder     *codertest.Server
	variables map[string]string
	url       string
}

func randomSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return "v1,whsec_" + base64.StdEncoding.EncodeToString(key)
}

func newDeployment(t *testing.T, coder *codertest.Server) *deployment {
	t.Helper()
	t.Cleanup(coder.Close)
	coder.AddToken("owner", "long", 6*24*time.Hour)
	db := storetest.New(t)
	return &deployment{db: db, coder: coder, variables: map[string]string{
		"DATABASE_URL": db.RoleURL("coderhook"), config.SecretsVariable: randomSecret(),
		"CODER_URL": coder.URL, "CODER_OWNER_TOKEN": coder.OwnerToken, "LEDGER_SECRET": randomSecret(),
	}}
}

// doctor runs the command and returns what is not ok.
func (w *deployment) doctor(t *testing.T) []finding {
	t.Helper()
	args := []string{"doctor", "--json"}
	if w.url != "" {
		args = append(args, "--url", w.url)
	}
	var out strings.Builder
	err := run(t.Context(), args, func(name string) string { return w.variables[name] }, &out, &out)
	var report struct {
		Failures, Warnings int
		Checks             []finding
	}
	if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
		t.Fatalf("%v, in %s", err, out.String())
	}
	for _, name := range []string{config.SecretsVariable, "CODER_OWNER_TOKEN"} {
		if secret := w.variables[name]; len(secret) > 20 && strings.Contains(out.String(), secret[12:]) {
			t.Errorf("%s is printed", name)
		}
	}
	if errors.Is(err, errReported) != (report.Failures > 0) {
		t.Errorf("%d failures, and it ended with %v", report.Failures, err)
	}
	return slices.DeleteFunc(report.Checks, func(f finding) bool { return f.Result == fine })
}

// results are what a test expects, "failure CHECK".
func results(findings []finding) (all []string) {
	for _, f := range findings {
		all = append(all, string(f.Result)+" "+f.Check)
	}
	return all
}

// follow does what the cures say.
func (w *deployment) follow(t *testing.T, findings []finding) {
	t.Helper()
	for _, f := range findings {
		if f.SQL != "" {
			if err := storetest.RunScript(t.Context(), w.db.RoleURL(pgserver.ProductAdmin), f.SQL); err != nil {
				t.Errorf("%v, in the cure of %q:\n%s", err, f.Found, f.SQL)
			}
		}
		if strings.Contains(f.Cure, "coderhook migrate") {
			if _, err := store.Migrate(t.Context(), store.Config{URL: w.db.RoleURL(pgserver.ProductAdmin)}); err != nil {
				t.Errorf("%v, in the cure of %q", err, f.Found)
			}
		}
		if _, setting, ok := strings.Cut(f.Cure, "set "); ok {
			if name, value, ok := strings.Cut(setting, "="); ok && strings.ToUpper(name) == name {
				w.variables[name], _, _ = strings.Cut(value, " ")
			}
		}
	}
}

func wantResults(t *testing.T, findings []finding, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, results(findings)); diff != "" {
		t.Errorf("%s\nfound: %+v", diff, findings)
	}
	for _, f := range findings {
		if f.Cure == "" {
			t.Errorf("no cure of %q", f.Found)
		}
	}
}

func TestDoctorFindsNothingWhereAllIsWell(t *testing.T) {
	t.Parallel()
	for _, profile := range []codertest.Profile{codertest.Profile2023, codertest.ProfileV231, codertest.ProfileNew} {
		w := newDeployment(t, codertest.Start(profile))
		w.url = cmdtest.Start(t, w.db, w.coder, config.SecretsVariable+"="+w.variables[config.SecretsVariable]).URL
		wantResults(t, w.doctor(t))
		if n := storetest.Query[int](t, w.db, `select (select count(*) from public.profiles) + (select count(*) from coderhook.accounts)`); n+len(w.coder.Users()) != 0 {
			t.Errorf("%s: doctor made something", profile)
		}
	}
}

func TestDoctorFindsWhatIsWrongWithVariables(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set, value string
		want, cure string
	}{
		"no database":      {"DATABASE_URL", "", "failure variable DATABASE_URL", "set it to the project's Postgres"},
		"dead database":    {"DATABASE_URL", "postgres://coderhook@127.0.0.1:1/postgres", "failure database", "DATABASE_URL"},
		"wrong table":      {"PROFILES_TABLE", "public.people", "failure profiles table", "PROFILES_TABLE"},
		"wrong column":     {"PROFILES_ID_COLUMN", "user_id", "failure profiles table", "PROFILES_ID_COLUMN"},
		"odd table":        {"PROFILES_TABLE", "a.b.c", "failure variable " + config.ProfilesVariables, "public.profiles"},
		"weak secret":      {config.SecretsVariable, "v1,whsec_c2hvcnQ=", "failure variable " + config.SecretsVariable, "openssl rand -base64 32"},
		"secret of text":   {config.SecretsVariable, cmdtest.Secret, "warning hook secrets", "openssl rand -base64 32"},
		"secret of zeros":  {config.SecretsVariable, "v1,whsec_" + strings.Repeat("AAAAAAAB", 6), "warning hook secrets", "openssl rand -base64 32"},
		"long deadline":    {"HOOK_DEADLINE", "9s", "failure variable HOOK_DEADLINE", "set 4s or less"},
		"no Coder":         {"CODER_URL", "", "failure variable CODER_URL", "set it to Coder's address"},
		"dead Coder":       {"CODER_URL", "http://127.0.0.1:1", "failure Coder", "CODER_URL"},
		"another server":   {"CODER_URL", "ftp://x", "failure variable CODER_URL", ""},
		"no token":         {"CODER_OWNER_TOKEN", "", "failure variable CODER_OWNER_TOKEN", "coder tokens create"},
		"dead token":       {"CODER_OWNER_TOKEN", cmdtest.Token, "failure owner's token", "coder tokens create"},
		"no organization":  {"CODER_ORGANIZATION", "nowhere", "failure organization", "CODER_ORGANIZATION"},
		"odd token":        {"CODER_OWNER_TOKEN", "hunter2", "failure variable CODER_OWNER_TOKEN", "coder tokens create"},
		"odd address":      {"LISTEN_ADDR", "8787", "failure variable LISTEN_ADDR", "write it like :8787"},
		"short-lived keys": {"CODER_TOKEN_LIFETIME", "90m", "failure life of keys", "set at least 2h0m0s"},
		"Supabase's table": {"PROFILES_TABLE", "auth.users", "failure variable " + config.ProfilesVariables, "name a table of the product's own"},
		"short JWT secret": {"SUPABASE_JWT_SECRET", "hunter2", "failure variable SUPABASE_JWT_SECRET", "JWT keys"},
		"no project":       {"SUPABASE_URL", "http://127.0.0.1:1", "failure access tokens", "SUPABASE_URL"},
		"no URL":           {"SUPABASE_URL", "project.supabase.co", "failure variable SUPABASE_URL", "https://"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newDeployment(t, codertest.Start(codertest.ProfileV231))
			good := maps.Clone(w.variables)
			w.variables[test.set] = test.value
			found := w.doctor(t)
			if len(found) != 1 || results(found)[0] != test.want || !strings.Contains(found[0].Cure+found[0].Found, test.cure) {
				t.Fatalf("got %+v, want %s, cured by %q", found, test.want, test.cure)
			}
			w.variables = good
			wantResults(t, w.doctor(t))
		})
	}
}

func TestDoctorSaysWhatItCouldNotCheck(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, codertest.Start(codertest.ProfileV231))
	w.variables, w.url = map[string]string{}, "http://localhost:1/hooks/custom-access-token"
	found := w.doctor(t)
	if len(found) != 4 {
		t.Fatalf("%+v", found)
	}
	for _, f := range found {
		if !strings.Contains(f.Found, "skipped because of this") {
			t.Errorf("%q does not say what was not checked", f.Found)
		}
	}
}

func TestDoctorOnTheRoleOfTheURL(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, codertest.Start(codertest.ProfileV231))
	for _, url := range []string{w.db.URL, w.db.RoleURL(pgserver.ProductAdmin)} {
		w.variables["DATABASE_URL"] = url
		found := w.doctor(t)
		if len(found) == 0 || results(found)[0] != "warning database role" || !strings.Contains(found[0].Cure, "coderhook") {
			t.Errorf("%+v", found)
		}
	}
	w.variables["DATABASE_URL"] = w.db.RoleURL("coderhook")
	wantResults(t, w.doctor(t))
}

// A pooler that DATABASE_URL does not tell of: the parameter that the cure names mends it.
func TestDoctorOnAPooler(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, codertest.Start(codertest.ProfileV231))
	pooler, err := pgserver.StartPooler(t.Context(), w.db.RoleURL("coderhook"), 5432)
	if errors.Is(err, pgserver.ErrNoPooler) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pooler.Stop() })
	w.variables["DATABASE_URL"] = pooler.URL(storetest.Query[string](t, w.db, `select current_database()`))
	found := w.doctor(t)
	wantResults(t, found, "warning pooler")
	if !strings.Contains(found[0].Cure, "pgbouncer=true") {
		t.Errorf("got %+v", found)
	}
	w.variables["DATABASE_URL"] += "&pgbouncer=true"
	wantResults(t, w.doctor(t))
}

// Tests stay on this machine, so what is said of other machines is asked for without them.
func TestDoctorOnUnencryptedTraffic(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]int{"http://coder.example.com": 1, "https://coder.example.com": 0, "http://127.0.0.1:3000": 0} {
		d := &doctor{}
		d.config.Coder.URL = address
		if d.checkTransport(); d.count(warning) != want {
			t.Errorf("%s: %+v", address, d.findings)
		}
	}
	for _, wire := range []struct{ encrypted, local, warned bool }{{false, false, true}, {true, false, false}, {false, true, false}} {
		d := &doctor{}
		if d.judgeWire(wire.encrypted, wire.local); (d.count(warning) > 0) != wire.warned {
			t.Errorf("%+v: %+v", wire, d.findings)
		}
	}
}

// Its words are for people, its status is for scripts, and nothing is said twice.
func TestDoctorAsAProgram(t *testing.T) {
	t.Parallel()
	binary, err := cmdtest.Build()
	if err != nil {
		t.Fatal(err)
	}
	w := newDeployment(t, codertest.Start(codertest.ProfileV231))
	for _, test := range []struct {
		broken string
		status int
		want   []string
	}{
		{`select 1`, 0, []string{"ok       database: PostgreSQL", "failures: 0, warnings: 0"}},
		{`drop policy coderhook_update on public.profiles`, 1, []string{"failure  profiles table: row level security", "         cure: run `coderhook migrate`", "failures: 1"}},
	} {
		w.db.Script(t, test.broken)
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "doctor")
		for name, value := range w.variables {
			cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s", name, value))
		}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, _ := cmd.Output()
		if got := cmd.ProcessState.ExitCode(); got != test.status || stderr.String() != "" {
			t.Errorf("status %d, on stderr %q", got, stderr.String())
		}
		for _, text := range test.want {
			if !strings.Contains(string(out), text) {
				t.Errorf("%q is not in\n%s", text, out)
			}
		}
	}
}

func TestDoctorOnTheCertificate(t *testing.T) {
	t.Parallel()
	for days, want := range map[time.Duration][]string{30: nil, 13: {"warning TLS certificate"}, -1: {"failure TLS certificate"}} {
		w := newDeployment(t, codertest.Start(codertest.ProfileV231))
		pair, err := selfsigned.Write(t.TempDir(), "hook.example.com", time.Now().Add(days*24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		w.variables["TLS_CERT_FILE"], w.variables["TLS_KEY_FILE"] = pair.Cert, pair.Key
		wantResults(t, w.doctor(t), want...)
	}
}

// What Coder made of a key's life is only known from the ledger.
func TestDoctorOnKeysThatLiveShort(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, codertest.Start(codertest.ProfileV231))
	w.db.Exec(t, `insert into coderhook.accounts (user_id, key_id, key_lifetime_seconds, token_seconds) values (gen_random_uuid(), 'AbCdEfGhIj', 3600, 3600)`)
	found := w.doctor(t)
	wantResults(t, found, "warning life of keys")
	if !strings.Contains(found[0].Cure, "raise Coder's maximum") {
		t.Errorf("%+v", found)
	}
}
