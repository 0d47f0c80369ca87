package config

import (
	"fmt"
	"regexp"
	"time"

	"coderhook/cmd/internal/keypair"
	"coderhook/coderclient"
	"coderhook/hook/owner"
	"coderhook/hook/provision"

	"github.com/rs/zerolog"
)

func readCoder(v *variables) (coderclient.Config, *keypair.Pair) {
	base := v.text("CODER_URL", "")
	if base == "" {
		v.fault("CODER_URL", "is missing; set it to Coder's address, like https://coder.example.com")
	}
	token := v.required("CODER_OWNER_TOKEN", "make one as an owner with: coder tokens create --lifetime 168h")
	if _, err := owner.NewToken(token); token != "" && err != nil {
		v.fault("CODER_OWNER_TOKEN", "%w", err)
	}
	way, client := readWay(v)
	c := coderclient.Config{
		Way:         way,
		URL:         v.address("CODER_URL", base, "https", "http"),
		Token:       func() string { return token },
		LoginType:   v.oneOf("CODER_LOGIN_TYPE", "auto", "none", "password", "oidc", "github"),
		Scope:       v.text("CODER_TOKEN_SCOPE", "all"),
		CallTimeout: 5 * time.Second,
	}
	if _, err := coderclient.New(c); c.URL != "" && err != nil {
		v.fault("CODER_URL", "%w", err)
	}
	return c, client
}

// OpenOwnerToken returns the token with which we act as Coder's owner, which follows its file where it is in one.
func (c Config) OpenOwnerToken(log zerolog.Logger) (*owner.Token, error) {
	token, err := owner.NewToken(c.Coder.Token())
	if c.Upkeep.OwnerFile != "" {
		token, err = owner.OpenToken(c.Upkeep.OwnerFile, log)
	}
	if err != nil {
		return nil, fmt.Errorf("CODER_OWNER_TOKEN: %w", err)
	}
	return token, nil
}

// SingleSignOn reports whether Coder, with such a login type, gives an account to whom another server vouches for as
// having its address.
func SingleSignOn(loginType string) bool { return loginType == "oidc" || loginType == "github" }

func readProvisioning(v *variables) provision.Options {
	o := provision.DefaultOptions()
	o.Organization = v.text("CODER_ORGANIZATION", "")
	o.Names.Prefix = readUsernamePrefix(v)
	o.ConfirmedOnly = SingleSignOn(v.text("CODER_LOGIN_TYPE", ""))
	o.TokenLifetime = v.duration("CODER_TOKEN_LIFETIME", 0, 0)
	o.Concurrency = v.count("PROVISION_CONCURRENCY", o.Concurrency, 1000)
	o.RenewBefore = v.duration("KEY_RENEW_BEFORE", 0, 0)
	o.OutOfClaims = v.oneOf("KEY_IN_CLAIMS", "true", "false") == "false"
	o.CheckInterval = v.duration("KEY_CHECK_INTERVAL", o.CheckInterval, time.Second)
	return o
}

func readUpkeep(v *variables) Upkeep {
	return Upkeep{
		Interval:     v.duration("RECONCILE_INTERVAL", time.Hour, time.Second),
		FullInterval: readFullInterval(v),
		Deletes:      v.oneOf("OFFBOARD", "suspend", "delete") == "delete",
		OwnerFile:    v.text("CODER_OWNER_TOKEN_FILE", ""),
		AuditKept:    v.duration("AUDIT_RETENTION", 90*24*time.Hour, 7*24*time.Hour),
	}
}

// readFullInterval reads a duration, or "off", which is 0.
func readFullInterval(v *variables) time.Duration {
	if v.text("RECONCILE_FULL_INTERVAL", "") == "off" {
		return 0
	}
	return v.duration("RECONCILE_FULL_INTERVAL", 7*24*time.Hour, 0)
}

// usernamePrefix leaves room for twelve digits at least, and begins like a Linux user.
var usernamePrefix = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*-?$`)

func readUsernamePrefix(v *variables) string {
	prefix := v.text("CODER_USERNAME_PREFIX", "")
	if prefix != "" && (len(prefix) > 16 || !usernamePrefix.MatchString(prefix)) {
		v.fault("CODER_USERNAME_PREFIX", "%q can't begin a username; write up to 16 lower-case letters, digits and single hyphens, the first a letter, like u or sb-", prefix)
		return ""
	}
	return prefix
}
