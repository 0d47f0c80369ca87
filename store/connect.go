package store

import (
	"cmp"
	"context"
	"fmt"
	"net"
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
