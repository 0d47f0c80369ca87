// Package config reads the variables that README lists, and reports all that is wrong with them at once.
//
// Environment and files of configuration are read here and nowhere else. Each fault names its variable and says what
// to do; none shows a secret.
package config

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"coderhook/cmd/internal/keypair"
	"coderhook/coderclient"
	"coderhook/hook/accesstoken"
	"coderhook/hook/frontend"
	"coderhook/hook/policy"
	"coderhook/hook/provision"
	"coderhook/hook/webhook"
	"coderhook/store"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// Config is what the variables say.
type Config struct {
	Listen      string
	FrontEnd    string // "" where browsers come in at Listen, too
	Admin       string // an address, or "off"
	Certificate Certificate
	DrainDelay  time.Duration
	Logging     Logging
	Traces      string // where they go: otlp, console or none
	OTLP        OTLP   // where Traces is otlp

	Database store.Config
	Coder    coderclient.Config
	Client   *keypair.Pair // with which we go to Coder; nil: none

	Secrets  []string // the hook's, newest first; none where one has a fault
	Verifier *webhook.Verifier
	Policy   policy.Policy
	Rules    Rules
	Deadline time.Duration
	Reject   bool // a sign-in that gets no key for a fault of ours

	Provisioning  provision.Options
	AllowReadable bool // keys may be made although everybody can read them
	Upkeep        Upkeep

	Supabase Supabase
	Tokens   *accesstoken.Verifier // nil: no front end
	CORS     frontend.CORS
	Gateway  Gateway
}

// Logging says how much is logged, and in which form.
type Logging struct{ Level, Format string }

// Logger returns a logger that writes to w.
func (l Logging) Logger(w io.Writer) zerolog.Logger {
	terminal := false
	if file, ok := w.(*os.File); ok {
		terminal = isatty.IsTerminal(file.Fd())
	}
	if l.Format == "console" || l.Format == "auto" && terminal {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	level, _ := zerolog.ParseLevel(l.Level) // one of the known ones
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// Upkeep says how keys and accounts are looked after.
type Upkeep struct {
	Interval     time.Duration
	FullInterval time.Duration // in which each account is looked at in Coder, though nothing has changed; 0: none is
	Deletes      bool          // accounts of users who left, instead of suspending them
	OwnerFile    string        // "" when the owner's token is given by value
	AuditKept    time.Duration // rows of the audit trail
}

// Read reads all that the server needs. The error joins the faults: see [Faults].
func Read(get func(string) string) (Config, error) {
	v := &variables{get: get}
	c := Config{
		Listen:      v.port("LISTEN_ADDR", ":8787"),
		FrontEnd:    readFrontEndAddr(v),
		Admin:       readAdmin(v),
		Certificate: readCertificate(v),
		DrainDelay:  v.duration("DRAIN_DELAY", time.Second, 0),
		Logging:     readLogging(v),
		Traces:      readTraces(v),
		Database:    readDatabase(v),
	}
	c.OTLP = readOTLP(v, c.Traces)
	c.Coder, c.Client = readCoder(v)
	c.Secrets, c.Verifier = readSecrets(v)
	c.Policy = readPolicy(v)
	c.Rules = readRules(v, c.Database)
	c.Provisioning = readProvisioning(v)
	c.Supabase, c.Tokens = readAccessTokens(v)
	c.CORS = readCORS(v)
	c.Gateway = readGateway(v, c)
	c.Deadline = readDeadline(v)
	c.Reject = v.oneOf("ON_ERROR", "omit", "reject") == "reject"
	c.AllowReadable = readAllowReadable(v)
	c.Upkeep = readUpkeep(v)
	return c, v.err()
}

// ReadWithoutHook reads what commands need that work with the database and Coder.
func ReadWithoutHook(get func(string) string) (Config, error) {
	v := &variables{get: get}
	c := Config{
		Logging: readLogging(v), Database: readDatabase(v),
		Provisioning: readProvisioning(v), Upkeep: readUpkeep(v),
	}
	c.Coder, c.Client = readCoder(v)
	c.Rules = readRules(v, c.Database)
	c.Policy, c.AllowReadable = readPolicy(v), readAllowReadable(v)
	return c, v.err()
}

func readAllowReadable(v *variables) bool {
	return v.oneOf("ALLOW_READABLE_KEYS", "false", "true") == "true"
}

// ReadDatabase reads the database's variables alone.
func ReadDatabase(get func(string) string) (store.Config, error) {
	v := &variables{get: get}
	return readDatabase(v), v.err()
}

// ReadSecrets reads the hook's secrets alone, as they are written; they are not checked.
func ReadSecrets(get func(string) string) (string, error) {
	v := &variables{get: get}
	return v.required(SecretsVariable, "set it to the secrets that the server has"), v.err()
}

// Getenv returns a variable of the process. It finds one also where the byte order mark of a file became a part of the
// first one's name, and leaves the mark in its value, which is a fault; and those of proxies by custom in lower case, too.
func Getenv(name string) string {
	if strings.HasSuffix(name, "_PROXY") && os.Getenv(name) == "" {
		return os.Getenv(strings.ToLower(name))
	}
	if marked := os.Getenv(byteOrderMark + name); marked != "" && os.Getenv(name) == "" {
		return byteOrderMark + marked
	}
	return os.Getenv(name)
}

// Faults returns the faults that an error joins.
func Faults(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return nil
}

// Explain puts the faults below one line that says what they are.
func Explain(err error) error {
	return fmt.Errorf("the configuration has faults:\n%w", err)
}
