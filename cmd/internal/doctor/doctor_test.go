package doctor_test

import (
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/selfsigned"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestDoctorFindsNothingWhereAllIsWell(t *testing.T) {
	t.Parallel()
	for _, profile := range []codertest.Profile{codertest.Profile2023, codertest.ProfileV231, codertest.ProfileNew} {
		w := cmdtest.NewDeployment(t, codertest.Start(profile))
		w.URL = w.Start(t).URL
		cmdtest.WantResults(t, w.Doctor(t))
		if n := storetest.Query[int](t, w.DB, `select (select count(*) from public.profiles) + (select count(*) from coderhook.accounts)`); n+len(w.Coder.Users()) != 0 {
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
			w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
			good := maps.Clone(w.Variables)
			w.Variables[test.set] = test.value
			found := w.Doctor(t)
			if len(found) != 1 || cmdtest.Results(found)[0] != test.want || !strings.Contains(found[0].Cure+found[0].Found, test.cure) {
				t.Fatalf("got %+v, want %s, cured by %q", found, test.want, test.cure)
			}
			w.Variables = good
			cmdtest.WantResults(t, w.Doctor(t))
		})
	}
}

func TestDoctorSaysWhatItCouldNotCheck(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
	w.Variables, w.URL = map[string]string{}, "http://localhost:1/hooks/custom-access-token"
	found := w.Doctor(t)
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
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
	for _, url := range []string{w.DB.URL, w.DB.RoleURL(pgserver.ProductAdmin)} {
		w.Variables["DATABASE_URL"] = url
		found := w.Doctor(t)
		if len(found) == 0 || cmdtest.Results(found)[0] != "warning database role" || !strings.Contains(found[0].Cure, "coderhook") {
			t.Errorf("%+v", found)
		}
	}
	w.Variables["DATABASE_URL"] = w.DB.RoleURL("coderhook")
	cmdtest.WantResults(t, w.Doctor(t))
}

// A pooler that DATABASE_URL does not tell of: the parameter that the cure names mends it.
func TestDoctorOnAPooler(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
	pooler, err := pgserver.StartPooler(t.Context(), w.DB.RoleURL("coderhook"), 5432)
	if errors.Is(err, pgserver.ErrNoPooler) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pooler.Stop() })
	w.Variables["DATABASE_URL"] = pooler.URL(storetest.Query[string](t, w.DB, `select current_database()`))
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "warning pooler")
	if !strings.Contains(found[0].Cure, "pgbouncer=true") {
		t.Errorf("got %+v", found)
	}
	w.Variables["DATABASE_URL"] += "&pgbouncer=true"
	cmdtest.WantResults(t, w.Doctor(t))
}

func TestDoctorOnTheCertificate(t *testing.T) {
	t.Parallel()
	for days, want := range map[time.Duration][]string{30: nil, 13: {"warning TLS certificate"}, -1: {"failure TLS certificate"}} {
		w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
		pair, err := selfsigned.Write(t.TempDir(), "hook.example.com", time.Now().Add(days*24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		w.Variables["TLS_CERT_FILE"], w.Variables["TLS_KEY_FILE"] = pair.Cert, pair.Key
		cmdtest.WantResults(t, w.Doctor(t), want...)
	}
}

// What Coder made of a key's life is only known from the ledger.
func TestDoctorOnKeysThatLiveShort(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
	w.DB.Exec(t, `insert into coderhook.accounts (user_id, key_id, key_lifetime_seconds, token_seconds) values (gen_random_uuid(), 'AbCdEfGhIj', 3600, 3600)`)
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "warning life of keys")
	if !strings.Contains(found[0].Cure, "raise Coder's maximum") {
		t.Errorf("%+v", found)
	}
}

// Keys that are in no token are of use only through the gateway.
func TestDoctorOnKeysOutOfClaims(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	w.Variables["KEY_IN_CLAIMS"] = "false"
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "warning keys in claims")
	if !strings.Contains(found[0].Cure, "GATEWAY=on") {
		t.Errorf("%+v", found)
	}
	w.Variables["GATEWAY"], w.Variables["CORS_ORIGINS"], w.Variables["SUPABASE_JWT_SECRET"] = "on", "https://app.example.com", cmdtest.RandomSecret()
	cmdtest.WantResults(t, w.Doctor(t))
}
