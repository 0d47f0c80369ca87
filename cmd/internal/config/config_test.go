package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/selfsigned"
)

const (
	goodSecret = "v1,whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	goodToken  = "AbCdEfGhIj-0123456789012345678901"

	goodEncryptionKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
)

func goodVariables() map[string]string {
	return map[string]string{
		"DATABASE_URL":                     "postgres://coderhook:pa%20ss@127.0.0.1:5432/postgres",
		"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS": goodSecret,
		"CODER_URL":                        "https://coder.example.com",
		"CODER_OWNER_TOKEN":                goodToken,
	}
}

func read(variables map[string]string) (Config, error) {
	return Read(func(name string) string { return variables[name] })
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	c, err := read(goodVariables())
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != ":8787" || c.Deadline != 2500*time.Millisecond || c.Provisioning.Concurrency != 8 ||
		c.DrainDelay != time.Second || c.Reject || c.Policy.RequireAAL != "aal1" || c.Coder.Scope != "all" ||
		c.Database.ProfilesTable != "public.profiles" {
		t.Errorf("not the defaults of the README: %+v", c)
	}
}

func TestConfigNamesEachFaultAndItsCure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ set, value, want string }{
		"missing database":     {"DATABASE_URL", "", "DATABASE_URL: is missing; set it to the project's Postgres"},
		"short ledger secret":  {"LEDGER_SECRET", "short", "LEDGER_SECRET: secret 1 has 5 characters; at least 32"},
		"ledger's last secret": {"LEDGER_SECRET", goodSecret + "|", "LEDGER_SECRET: secret 2 is empty; remove the |"},
		"encryption key":       {"KEY_ENCRYPTION_KEYS", "plain|c2hvcnQ=", "KEY_ENCRYPTION_KEYS: key 2 has 5 bytes; 32 random ones are needed; make one with: openssl rand -base64 32"},
		"hex encryption key":   {"KEY_ENCRYPTION_KEYS", "zz", "KEY_ENCRYPTION_KEYS: key 1 is not base64; make one"},
		"empty encryption key": {"KEY_ENCRYPTION_KEYS", goodEncryptionKey + "|", "KEY_ENCRYPTION_KEYS: key 2 is empty; remove the |"},
		"encryption key twice": {"KEY_ENCRYPTION_KEYS", goodEncryptionKey + "|" + goodEncryptionKey, "KEY_ENCRYPTION_KEYS: key 2 is key 1 once more; remove it"},
		"plain last":           {"KEY_ENCRYPTION_KEYS", goodEncryptionKey + "|plain", "KEY_ENCRYPTION_KEYS: key 2 is the word plain; write it before the keys"},
		"plain keys refused":   {"REFUSE_PLAIN_KEYS", "true", "REFUSE_PLAIN_KEYS: keys are stored in plain; set KEY_ENCRYPTION_KEYS to a key first"},
		"missing secrets":      {"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS", "", "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS: is missing; copy it"},
		"missing coder":        {"CODER_URL", "", "CODER_URL: is missing; set it"},
		"missing token":        {"CODER_OWNER_TOKEN", "", "CODER_OWNER_TOKEN: is missing; make one"},
		"database URL":         {"DATABASE_URL", "localhost:5432", "DATABASE_URL: is not a URL with postgres://"},
		"database password":    {"DATABASE_URL", "postgres://u:p%ss@h/db", "DATABASE_URL: is not a URL; write it with postgres://"},
		"coder URL":            {"CODER_URL", "coder.example.com", "CODER_URL: is not a URL with https://"},
		"coder scheme":         {"CODER_URL", "ftp://coder.example.com", "CODER_URL: is not a URL with https://"},
		"token shape":          {"CODER_OWNER_TOKEN", "hunter2", "CODER_OWNER_TOKEN: is not a Coder token"},
		"secret form":          {"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS", "whsec_abc", "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS: secret 1: must look like v1,whsec_<base64>"},
		"asymmetric secret":    {"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS", "v1a,whpk_abc", "asymmetric"},
		"empty secret":         {"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS", "v1,whsec_", "too weak"},
		"both":                 {"CODER_OWNER_TOKEN_FILE", empty, "CODER_OWNER_TOKEN: set together with CODER_OWNER_TOKEN_FILE; set only one"},
		"duration":             {"HOOK_DEADLINE", "fast", `HOOK_DEADLINE: "fast" is not a duration; write it like 2.5s`},
		"duration too long":    {"HOOK_DEADLINE", "4.9s", "HOOK_DEADLINE: 4.9s is too long"},
		"same columns":         {"PROFILES_KEY_COLUMN", "id", "PROFILES_TABLE, PROFILES_ID_COLUMN, PROFILES_KEY_COLUMN: "},
		"database option":      {"DATABASE_URL", "postgres://u:p@h/db?sslmode=bogus", "DATABASE_URL: "},
		"coder URL's query":    {"CODER_URL", "https://coder.example.com/?x=1", "CODER_URL: "},
		"negative duration":    {"CODER_TOKEN_LIFETIME", "-1h", "CODER_TOKEN_LIFETIME: -1h0m0s is too short"},
		"neither nor":          {"KEY_IN_CLAIMS", "no", `KEY_IN_CLAIMS: "no" is not known; set one of true, false`},
		"unknown value":        {"ON_ERROR", "panic", `ON_ERROR: "panic" is not known; set one of omit, reject`},
		"number":               {"PROVISION_CONCURRENCY", "0", `PROVISION_CONCURRENCY: "0" is not a number from 1 to 1000`},
		"assurance level":      {"REQUIRE_AAL", "2", `REQUIRE_AAL: "2" is not known`},
		"profiles table":       {"PROFILES_TABLE", "a.b.c", "PROFILES_TABLE, PROFILES_ID_COLUMN, PROFILES_KEY_COLUMN: "},
		"traces":               {"OTEL_TRACES_EXPORTER", "zipkin", `OTEL_TRACES_EXPORTER: "zipkin" is not known`},
		"headers of traces":    {"OTEL_EXPORTER_OTLP_HEADERS", `"authorization=x"`, "OTEL_EXPORTER_OTLP_HEADERS: is in quotes"},
		"every role":           {"ALLOWED_ROLES", "*", `ALLOWED_ROLES: "*" is not a role`},
		"roles by semicolon":   {"ALLOWED_ROLES", "authenticated;staff", `ALLOWED_ROLES: "authenticated;staff" is not a role`},
		"login type":           {"CODER_LOGIN_TYPE", "saml", "CODER_LOGIN_TYPE: "},
		"log level":            {"LOG_LEVEL", "loud", "LOG_LEVEL: "},
		"check interval":       {"KEY_CHECK_INTERVAL", "0s", "KEY_CHECK_INTERVAL: 0s is too short"},
		"renewal window":       {"KEY_RENEW_BEFORE", "a week", "KEY_RENEW_BEFORE: \"a week\" is not a duration"},
		"off-boarding":         {"OFFBOARD", "fire", "OFFBOARD: \"fire\" is not known; set one of suspend, delete"},
		"port":                 {"LISTEN_ADDR", "8787", `LISTEN_ADDR: "8787" is not an address to listen at; write it like :8787`},
		"port's name":          {"LISTEN_ADDR", ":http", "LISTEN_ADDR: "},
		"port too high":        {"ADMIN_ADDR", "127.0.0.1:65536", "ADMIN_ADDR: "},
		"no port, browsers":    {"FRONTEND_ADDR", "on", `FRONTEND_ADDR: "on" is not an address to listen at; write it like :8789`},
		"no port":              {"ADMIN_ADDR", "on", `ADMIN_ADDR: "on" is not an address to listen at; write it like 127.0.0.1:8788`},
		"half a TLS pair":      {"TLS_KEY_FILE", empty, "TLS_CERT_FILE: goes together with TLS_KEY_FILE; set both or none"},
		"token's cure":         {"CODER_OWNER_TOKEN", "hunter2", "(10 characters, a hyphen, 22 more); make one as an owner with: coder tokens create --lifetime 168h"},
		"secret's cure":        {"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS", "x", `; copy the secret from the hook's settings in Supabase, or make one with: echo "v1,whsec_$(openssl rand -base64 32)"`},
		"reconciling":          {"RECONCILE_INTERVAL", "often", "RECONCILE_INTERVAL: "},
		"full look":            {"RECONCILE_FULL_INTERVAL", "never", `RECONCILE_FULL_INTERVAL: "never" is not a duration`},
		"full look, negative":  {"RECONCILE_FULL_INTERVAL", "-1h", "RECONCILE_FULL_INTERVAL: -1h0m0s is too short"},
	} {
		variables := goodVariables()
		variables[test.set] = test.value
		if _, err := read(variables); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		} else if len(strings.Split(err.Error(), "\n")) != 1 {
			t.Errorf("%s: one fault, but reported: %v", name, err)
		}
	}
}

func TestFullInterval(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{"": 168 * time.Hour, "720h": 720 * time.Hour, "off": 0, "0": 0, "0s": 0} {
		variables := goodVariables()
		variables["RECONCILE_FULL_INTERVAL"] = value
		if c, err := read(variables); err != nil || c.Upkeep.FullInterval != want {
			t.Errorf("%q: %s, %v", value, c.Upkeep.FullInterval, err)
		}
	}
}

func TestConfigReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := read(map[string]string{"HOOK_DEADLINE": "x", "CODER_URL": "x", "CODER_OWNER_TOKEN_FILE": "/does/not/exist"})
	for _, name := range []string{"HOOK_DEADLINE", "CODER_URL", "CODER_OWNER_TOKEN_FILE", "DATABASE_URL", "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS"} {
		if err == nil || !strings.Contains(err.Error(), name+": ") {
			t.Errorf("%s is not among the faults: %v", name, err)
		}
	}
}

func TestConfigReadsSecretsFromFiles(t *testing.T) {
	t.Parallel()
	variables := goodVariables()
	for _, name := range []string{"DATABASE_URL", "CODER_OWNER_TOKEN", "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS"} {
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte(variables[name]+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		delete(variables, name)
		variables[name+"_FILE"] = file
	}
	c, err := read(variables)
	if err != nil {
		t.Fatal(err)
	}
	if c.Coder.Token() != goodToken {
		t.Error("the owner's token is not what the file holds")
	}
}

// What is wrong with a secret is said without the secret.
func TestConfigFaultsShowNoSecret(t *testing.T) {
	t.Parallel()
	variables := goodVariables()
	delete(variables, "CODER_OWNER_TOKEN")
	variables["CODER_OWNER_TOKEN_FILE"] = goodToken // instead of a file's name
	if _, err := read(variables); err == nil || strings.Contains(err.Error(), goodToken) {
		t.Errorf("got %v", err)
	}
	_, err := read(map[string]string{
		"DATABASE_URL":                     "postgres://u:hunter2@ho st:x/db",
		"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS": "v1,whsec_hunter2",
		"CODER_OWNER_TOKEN":                "hunter2",
		"CODER_URL":                        "https://coder.example.com",
	})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestConfigOfTheFrontEnd(t *testing.T) {
	t.Parallel()
	const secret = "a secret of the project that has at least 32 characters"
	for name, test := range map[string]struct{ set, value, want string }{
		"not a URL":       {"SUPABASE_URL", "project.supabase.co", "SUPABASE_URL: is not a URL with https://"},
		"with a path":     {"SUPABASE_URL", "https://project.supabase.co/auth/v1", "SUPABASE_URL: is more than a host; set the project's URL alone"},
		"with a key":      {"SUPABASE_URL", "https://project.supabase.co?apikey=hunter2", "SUPABASE_URL: is more than a host"},
		"anon key":        {"SUPABASE_JWT_SECRET", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.x", "SUPABASE_JWT_SECRET: is a JWT"},
		"short secret":    {"SUPABASE_JWT_SECRET", "hunter2", "SUPABASE_JWT_SECRET: is too weak: it has 7 bytes, at least 32"},
		"origin's slash":  {"CORS_ORIGINS", "https://app.example.com/", `CORS_ORIGINS: "https://app.example.com/" is not an origin`},
		"all and another": {"CORS_ORIGINS", "*,https://app.example.com", `CORS_ORIGINS: "*" beside other origins`},
		"issuers":         {"SUPABASE_JWT_ISSUER", "any,https://project.supabase.co/auth/v1", `SUPABASE_JWT_ISSUER: "any" beside others`},
		"service role":    {"ALLOWED_ROLES", "authenticated,service_role", `ALLOWED_ROLES: "service_role" is the role of a key`},
		"any header":      {"CORS_HEADERS", "*", `CORS_HEADERS: "*" is not the name of a header`},
		"asterisk":        {"CORS_ORIGINS", "https://app.*.example.com", "an asterisk may only stand for the first label"},
		"app's port":      {"CORS_ORIGINS", "capacitor://localhost:1", "like capacitor://localhost"},
		"credentials":     {"CORS_CREDENTIALS", "yes", `CORS_CREDENTIALS: "yes" is not known`},
	} {
		variables := goodVariables()
		variables[test.set] = test.value
		if _, err := read(variables); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	variables := goodVariables()
	variables["CORS_ORIGINS"], variables["CORS_CREDENTIALS"] = "*", "true"
	if _, err := read(variables); err == nil || !strings.Contains(err.Error(), `CORS_ORIGINS: "*" together with credentials`) {
		t.Errorf(`"*" with credentials: %v`, err)
	}
	if c, err := read(goodVariables()); err != nil || c.Tokens != nil || len(c.CORS.Origins) > 0 {
		t.Errorf("without variables there is no front end: %+v, %v", c, err)
	}
	variables = goodVariables()
	variables["SUPABASE_URL"], variables["CORS_ORIGINS"] = "https://project.supabase.co/", "HTTPS://App.example.com:443, https://bücher.example"
	variables["CORS_HEADERS"], variables["ALLOWED_ROLES"] = "sentry-trace, baggage", "authenticated,editor"
	c, err := read(variables)
	if err != nil || c.Tokens.Issuers.String() != "https://project.supabase.co/auth/v1" || len(c.Policy.AllowedRoles) != 2 ||
		strings.Join(c.CORS.Origins, " ") != "https://app.example.com https://xn--bcher-kva.example" || strings.Join(c.CORS.Headers, " ") != "sentry-trace baggage" {
		t.Errorf("%+v, %v", c, err)
	}
	variables["SUPABASE_JWT_ISSUER"] = "http://localhost:54321/auth/v1,https://project.supabase.co/auth/v1"
	if c, err := read(variables); err != nil || len(c.Tokens.Issuers) != 2 || !c.Tokens.Issuers.Takes("http://LOCALHOST:54321/auth/v1") {
		t.Errorf("%v", err)
	}
	file := filepath.Join(t.TempDir(), "jwt-secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, set := range []map[string]string{
		{"SUPABASE_URL": "https://project.supabase.co/"},
		{"SUPABASE_JWT_SECRET": secret},
		{"SUPABASE_JWT_SECRET_FILE": file, "CORS_ORIGINS": "https://app.example.com, http://localhost:5173", "CORS_CREDENTIALS": "true"},
	} {
		variables := goodVariables()
		for name, value := range set {
			variables[name] = value
		}
		if c, err := read(variables); err != nil || c.Tokens == nil {
			t.Errorf("%v: %v", set, err)
		}
	}
}

// Each bad secret is a fault of its own, with the cure.
func TestConfigNamesEachBadSecret(t *testing.T) {
	t.Parallel()
	variables := goodVariables()
	variables[SecretsVariable] = "x|" + goodSecret + "|v1,whsec_"
	_, err := read(variables)
	if faults := Faults(err); len(faults) != 2 || strings.Count(err.Error(), SecretsVariable+": secret ") != 2 || strings.Count(err.Error(), "; copy the secret") != 2 {
		t.Errorf("got %v", err)
	}
}

func TestConfigReadsTheCertificate(t *testing.T) {
	t.Parallel()
	variables := goodVariables()
	variables["ADMIN_ADDR"] = "off"
	pair, err := selfsigned.Write(t.TempDir(), "hook.example.com", time.Now().Add(30*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	variables["TLS_CERT_FILE"], variables["TLS_KEY_FILE"] = pair.Cert, pair.Key
	if c, err := read(variables); err != nil || time.Until(c.Certificate.Ends) < 29*24*time.Hour || c.Admin != "off" {
		t.Errorf("ends %s, error %v", c.Certificate.Ends, err)
	}
	variables["LISTEN_ADDR"] = "x"
	variables["TLS_KEY_FILE"] = filepath.Join(t.TempDir(), "none.pem")
	_, err = read(variables)
	if len(Faults(err)) != 2 || !strings.Contains(err.Error(), "TLS_CERT_FILE, TLS_KEY_FILE: can't be used: open ") || !strings.Contains(err.Error(), "; name two PEM files") {
		t.Errorf("got %v", err)
	}
}

func TestTracesVariable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, value, want string }{
		{"OTEL_TRACES_EXPORTER", "", "none"},
		{"OTEL_TRACES_EXPORTER", "console", "console"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318", "otlp"},
	} {
		variables := goodVariables()
		variables[test.name] = test.value
		if c, err := read(variables); err != nil || c.Traces != test.want {
			t.Errorf("%s=%s: %q, %v", test.name, test.value, c.Traces, err)
		}
	}
}
