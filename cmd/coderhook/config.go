package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/hook"
	"coderhook/hook/accesstoken"
	"coderhook/hook/frontend"
	"coderhook/hook/owner"
	"coderhook/hook/policy"
	"coderhook/hook/webhook"
	"coderhook/store"
)

// profilesVariables name the product's table.
const profilesVariables = "PROFILES_TABLE, PROFILES_ID_COLUMN, PROFILES_KEY_COLUMN"

// maxDeadline leaves Supabase Auth time for its own work.
const maxDeadline = 4 * time.Second

// secretsVariable holds the hook's secrets.
const secretsVariable = "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS"

// secretCure is for a secret that is none.
const secretCure = "copy the secret from the hook's settings in Supabase, or make one with: " + makeSecret

// separatorCure is for a list of secrets with an empty one in it.
const separatorCure = "remove the | that has no secret on one of its sides"

const makeSecret = `echo "v1,whsec_$(openssl rand -base64 32)"`

// config is what the variables say. README lists them.
type config struct {
	listen     string
	frontEnd   string // "" where browsers come in at listen, too
	admin      string
	certFile   string
	keyFile    string
	certEnds   time.Time // zero without a certificate
	drainDelay time.Duration
	logging    logging
	traces     string // where they go: otlp, console or none
	database   store.Config
	coder      coderclient.Config
	verifier   *webhook.Verifier
	policy     policy.Policy
	options    hook.Options
	tokens     *accesstoken.Verifier // nil: no front end
	cors       frontend.CORS
	deadline   time.Duration
	reject     bool
	readable   bool // keys may be made although everybody can read them
	upkeep     upkeep
}

type logging struct{ level, format string }

// readConfig reports all faults at once.
func readConfig(get func(string) string) (config, error) {
	v := &variables{get: get}
	c := config{
		listen:     v.port("LISTEN_ADDR", ":8787"),
		frontEnd:   readFrontEndAddr(v),
		admin:      readAdmin(v),
		certFile:   v.text("TLS_CERT_FILE", ""),
		keyFile:    v.text("TLS_KEY_FILE", ""),
		drainDelay: v.duration("DRAIN_DELAY", time.Second, 0),
		logging:    readLogging(v),
		traces:     readTraces(v),
		database:   readDatabase(v),
		coder:      readCoder(v),
		verifier:   readSecrets(v),
		policy:     readPolicy(v),
		options:    readProvisioning(v),
		tokens:     readAccessTokens(v),
		cors:       readCORS(v),
		deadline:   v.duration("HOOK_DEADLINE", 2500*time.Millisecond, 100*time.Millisecond),
		reject:     v.oneOf("ON_ERROR", "omit", "reject") == "reject",
		readable:   v.oneOf("ALLOW_READABLE_KEYS", "false", "true") == "true",
		upkeep:     readUpkeep(v),
	}
	if c.deadline > maxDeadline {
		v.fault("HOOK_DEADLINE", "%s is too long; Supabase Auth gives up after 5s, so set %s or less", c.deadline, maxDeadline)
	}
	c.certEnds = readCertificate(v, c.certFile, c.keyFile)
	return c, v.err()
}

// readFrontEndAddr is an address, or nothing.
func readFrontEndAddr(v *variables) string {
	if v.text("FRONTEND_ADDR", "") == "" {
		return ""
	}
	return v.port("FRONTEND_ADDR", ":8789")
}

// readAdmin is an address, or "off".
func readAdmin(v *variables) string {
	if v.text("ADMIN_ADDR", "") == "off" {
		return "off"
	}
	return v.port("ADMIN_ADDR", "127.0.0.1:8788")
}

func readLogging(v *variables) logging {
	return logging{
		level:  v.oneOf("LOG_LEVEL", "info", "trace", "debug", "warn", "error"),
		format: v.oneOf("LOG_FORMAT", "auto", "json", "console"),
	}
}

func readDatabase(v *variables) store.Config {
	dsn := v.required("DATABASE_URL", "set it to the project's Postgres, like postgres://coderhook:PASSWORD@HOST:5432/postgres")
	c := store.Config{
		URL:               v.address("DATABASE_URL", dsn, "postgres", "postgresql"),
		Reread:            rereadURL(v.text("DATABASE_URL_FILE", "")),
		ProfilesTable:     v.text("PROFILES_TABLE", "public.profiles"),
		ProfilesIDColumn:  v.text("PROFILES_ID_COLUMN", "id"),
		ProfilesKeyColumn: v.text("PROFILES_KEY_COLUMN", "api_key"),
		LedgerSecrets:     readLedgerSecrets(v),
	}
	if err := c.CheckNames(); err != nil {
		v.fault(profilesVariables, "%s", withCure(err, "write them like public.profiles, id, api_key"))
	}
	if strings.HasPrefix(c.ProfilesTable, "auth.") {
		v.fault(profilesVariables, "%s belongs to Supabase; name a table of the product's own", c.ProfilesTable)
	}
	if err := c.CheckURL(); c.URL != "" && err != nil {
		v.fault("DATABASE_URL", "%s", withCure(err, "correct this in it"))
	}
	return c
}

func readCoder(v *variables) coderclient.Config {
	base := v.text("CODER_URL", "")
	if base == "" {
		v.fault("CODER_URL", "is missing; set it to Coder's address, like https://coder.example.com")
	}
	token := v.required("CODER_OWNER_TOKEN", "make one as an owner with: coder tokens create --lifetime 168h")
	if _, err := owner.NewToken(token); token != "" && err != nil {
		v.fault("CODER_OWNER_TOKEN", "%w", err)
	}
	c := coderclient.Config{
		URL:         v.address("CODER_URL", base, "https", "http"),
		Token:       func() string { return token },
		LoginType:   v.oneOf("CODER_LOGIN_TYPE", "auto", "none", "password", "oidc", "github"),
		Scope:       v.text("CODER_TOKEN_SCOPE", "all"),
		CallTimeout: 5 * time.Second,
	}
	if _, err := coderclient.New(c); c.URL != "" && err != nil {
		v.fault("CODER_URL", "%w", err)
	}
	return c
}

// bySSO: Coder gives an account with such a login type to whom another server vouches for as having its address.
func bySSO(loginType string) bool { return loginType == "oidc" || loginType == "github" }

func readSecrets(v *variables) *webhook.Verifier {
	secrets := v.required(secretsVariable, "copy it from the hook's settings in Supabase, like v1,whsec_<base64>")
	if secrets == "" {
		return nil
	}
	verifier, err := webhook.NewVerifier(secrets, time.Now)
	for _, fault := range faultsOf(err) {
		do := secretCure
		if errors.Is(fault, webhook.ErrEmptySecret) {
			do = separatorCure
		}
		v.fault(secretsVariable, "%w; %s", fault, do)
	}
	return verifier
}

func readPolicy(v *variables) policy.Policy {
	p := policy.Policy{
		RequireAAL:     v.oneOf("REQUIRE_AAL", "aal1", "aal2", "aal3"),
		AllowedClients: v.list("ALLOWED_CLIENT_IDS"),
		AllowedRoles:   v.list("ALLOWED_ROLES"),
	}
	for _, role := range p.AllowedRoles {
		if strings.ContainsAny(role, "*;|") {
			v.fault("ALLOWED_ROLES", "%q is not a role; name roles that stand in auth.users one by one, like authenticated,staff", role)
		}
		if role == "anon" || role == "service_role" {
			v.fault("ALLOWED_ROLES", "%q is the role of a key of the project, not of users; name roles that stand in auth.users, like authenticated", role)
		}
	}
	return p
}

func readProvisioning(v *variables) hook.Options {
	o := hook.DefaultOptions()
	o.Organization = v.text("CODER_ORGANIZATION", "")
	o.ConfirmedOnly = bySSO(v.text("CODER_LOGIN_TYPE", ""))
	o.TokenLifetime = v.duration("CODER_TOKEN_LIFETIME", 0, 0)
	o.Concurrency = v.count("PROVISION_CONCURRENCY", o.Concurrency, 1000)
	o.RenewBefore = v.duration("KEY_RENEW_BEFORE", 0, 0)
	o.CheckInterval = v.duration("KEY_CHECK_INTERVAL", o.CheckInterval, time.Second)
	return o
}

// withCure adds what to do, unless the error says so.
func withCure(err error, do string) string {
	text := err.Error()
	if strings.Contains(text, "; ") {
		return text
	}
	return text + "; " + do
}

// configError puts the faults below one line that says what they are.
func configError(err error) error {
	return fmt.Errorf("the configuration has faults:\n%w", err)
}
