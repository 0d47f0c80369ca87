package doctor

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"coderhook/cmd/internal/config"
)

// skippedFor tells what can't be checked when a variable is unusable.
var skippedFor = map[string]string{
	"DATABASE_URL":                "the database",
	config.LedgerSecretVariable:   "the database",
	config.EncryptionKeysVariable: "the database",
	"REFUSE_PLAIN_KEYS":           "the database",
	config.ProfilesVariables:      "the database",
	"PROFILES_TABLE":              "the database",
	"PROFILES_ID_COLUMN":          "the database",
	"PROFILES_KEY_COLUMN":         "the database",
	"PROFILES_POLICY_COLUMNS":     "the database",
	"CODER_URL":                   "Coder",
	"CODER_OWNER_TOKEN":           "Coder",
	config.SecretsVariable:        "the running hook",
	"SUPABASE_URL":                "access tokens",
	"SUPABASE_JWT_SECRET":         "access tokens",
	"SUPABASE_JWT_ISSUER":         "access tokens",
	"CHAIN_HOOK":                  "the database",
	"CODER_HEADERS":               "Coder",
	"CODER_CA_FILE":               "Coder",
	"CODER_CLIENT_CERT_FILE":      "Coder",
	config.ClientVariables:        "Coder",
	"HTTP_PROXY":                  "Coder",
	"HTTPS_PROXY":                 "Coder",
}

// checkVariables makes a finding of each fault that the server would not start with.
func (d *Doctor) checkVariables() {
	var err error
	d.config, err = config.Read(d.Getenv)
	for _, fault := range config.Faults(err) {
		name, text, _ := strings.Cut(fault.Error(), ": ")
		what, do, _ := strings.Cut(text, "; ")
		if party := cmp.Or(skippedFor[name], skippedFor[strings.TrimSuffix(name, "_FILE")]); party != "" {
			d.skipped = append(d.skipped, party)
			what += " (skipped because of this: " + party + ")"
		}
		d.fail("variable "+name, cure{do: do}, "%s", what)
	}
	if err == nil {
		d.ok("variables", "all are there and can be read")
	}
}

// checkSecrets looks at what the server takes but should not be given.
func (d *Doctor) checkSecrets() {
	secrets := d.config.Secrets
	if len(secrets) == 0 {
		return // it is among the faults
	}
	renew := cure{do: "make one with: " + config.MakeSecret + "; write it into the hook's settings in Supabase and into " + config.SecretsVariable}
	for i, secret := range secrets {
		switch {
		case guessable(keyOf(secret)):
			d.warn("hook secrets", renew, "secret %d looks like text or a pattern, not like random bytes", i+1)
			return
		case slices.Contains(secrets[:i], secret):
			d.warn("hook secrets", cure{do: "remove one of the two from " + config.SecretsVariable}, "secret %d is there twice", i+1)
			return
		}
	}
	if len(secrets) > 1 {
		d.ok("hook secrets", "%d, each random; after a rotation remove the old one", len(secrets))
		return
	}
	d.ok("hook secrets", "one, of %d random bytes", len(keyOf(secrets[0])))
}

// certificateWarning is long enough to notice that a renewal does not work.
const certificateWarning = 14 * 24 * time.Hour

func (d *Doctor) checkCertificate() {
	if end := d.config.Certificate.Ends; !end.IsZero() { // else there is none, or it is among the faults
		d.judgeCertificate("TLS certificate", end, "TLS_CERT_FILE and TLS_KEY_FILE")
	}
}

func (d *Doctor) judgeCertificate(check string, end time.Time, files string) {
	renew := cure{do: "renew it and write it to " + files + "; the server reads them again by itself"}
	switch left := end.Sub(d.Now()); {
	case left <= 0:
		d.fail(check, renew, "ended on %s", end.UTC().Format(time.RFC3339))
	case left < certificateWarning:
		d.warn(check, renew, "ends in %s, on %s", left.Round(time.Minute), end.UTC().Format(time.RFC3339))
	default:
		d.ok(check, "until %s", end.UTC().Format(time.DateOnly))
	}
}

// keyOf returns the key in a secret whose form was checked.
func keyOf(secret string) []byte {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "v1,whsec_"))
	return key
}

// guessable reports whether a key looks like text or a pattern. Of random keys of 24 bytes one in a thousand million does.
func guessable(key []byte) bool {
	distinct := make(map[byte]bool)
	for _, b := range key {
		distinct[b] = true
	}
	text := bytes.IndexFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) < 0
	return text || len(distinct) < 12
}
