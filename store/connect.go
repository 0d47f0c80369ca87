package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connectTimeout bounds a connection attempt, unless the URL says otherwise: a
// dead host must not use up a sign-in's whole deadline.
const connectTimeout = 2 * time.Second

// defaultMaxConns suits Supabase's smallest project, which allows 60 in all.
const defaultMaxConns = 10

// poolerPort is where Supabase's Supavisor listens in transaction mode.
const poolerPort = 6543

// pool returns the settings for a connection pool. No error text contains the password.
func (c Config) pool() (*pgxpool.Config, error) {
	u, password, err := c.splitURL()
	if err != nil {
		return nil, err
	}
	pooler := u.takeFlag("pgbouncer")
	cfg, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	if password != "" {
		cfg.ConnConfig.Password = password
	}
	if !u.has("pool_max_conns") {
		cfg.MaxConns = cmp.Or(c.MaxConns, defaultMaxConns)
	}
	if !u.has("pool_min_idle_conns") {
		cfg.MinIdleConns = 1 // a rare sign-in should not pay for the TLS handshake
	}
	// The pool's own check costs a round trip for every connection that was idle
	// for a second. A dead connection is noticed in use instead: see again.
	cfg.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	if (pooler || cfg.ConnConfig.Port == poolerPort) && !u.has("default_query_exec_mode") {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	if c.Trace {
		// Statements, never their arguments, which hold keys.
		cfg.ConnConfig.Tracer = otelpgx.NewTracer()
	}
	harden(cfg.ConnConfig)
	return cfg, nil
}

// harden adds timeouts to a connection's settings, and a name for pg_stat_activity.
func harden(cfg *pgx.ConnConfig) {
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	// A peer that went away without a word is noticed after half a minute.
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	cfg.DialFunc = dialer.DialContext
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "coderhook"
	}
}

// databaseURL is a URL with its query at hand.
type databaseURL struct {
	*url.URL
	query url.Values
}

// splitURL parses the URL and takes the password out, so that no error of the
// driver can show it. Its own errors show nothing of the URL.
func (c Config) splitURL() (databaseURL, string, error) {
	if c.URL == "" {
		return databaseURL{}, "", errors.New("database URL is missing")
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return databaseURL{}, "", errors.New("database URL is malformed: special characters in the password must be percent-encoded")
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return databaseURL{}, "", errors.New("database URL does not start with postgres://")
	}
	query := u.Query()
	password := query.Get("password")
	query.Del("password")
	if p, ok := u.User.Password(); ok {
		password = p
		u.User = url.User(u.User.Username())
	}
	u.RawQuery = query.Encode()
	return databaseURL{u, query}, password, nil
}

func (u databaseURL) has(name string) bool { return u.query.Has(name) }

// takeFlag removes a parameter that is not Postgres's, and reports whether it was true.
func (u databaseURL) takeFlag(name string) bool {
	on := u.query.Get(name) == "true" || u.query.Get(name) == "1"
	u.query.Del(name)
	u.RawQuery = u.query.Encode()
	return on
}
