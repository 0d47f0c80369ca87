// Package store keeps what coderhook knows in Postgres: the product's profiles
// table, which holds the keys, and coderhook's own ledger of accounts.
//
// Every method is one round trip unless it says otherwise, works through a
// transaction-mode pooler, and returns errors without logging them. Time is the
// database's clock, so that replicas need not agree on theirs.
package store

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Store reads and writes accounts. It is safe for concurrent use.
type Store struct {
	pool  *pgxpool.Pool
	sql   statements
	seals seals

	// writers bounds the writes that may wait for a sign-in's lock. If they could take all
	// connections, the look-ups of other sign-ins would wait with them.
	writers chan struct{}

	// unprepared is set once prepared statements turn out not to survive on this
	// way to the database.
	unprepared atomic.Bool
}

// statements are the queries that name the product's table.
type statements struct {
	lookup, updateProfile, insertProfile, readProfile string
}

// Open checks cfg and returns a Store. It does not wait for the database, which
// may be down: use [Store.Ping] for that. The caller closes the Store.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	profiles, err := cfg.profiles()
	if err != nil {
		return nil, err
	}
	poolConfig, err := cfg.pool()
	if err != nil {
		return nil, err
	}
	s := &Store{
		sql: statements{
			lookup:        profiles.in(lookupSQL),
			updateProfile: profiles.in(updateProfileSQL),
			insertProfile: profiles.in(insertProfileSQL),
			readProfile:   profiles.in(readProfileSQL),
		},
		seals:   newSeals(cfg.LedgerSecrets),
		writers: make(chan struct{}, max(1, poolConfig.MaxConns/3)),
	}
	poolConfig.BeforeConnect = s.withoutPreparing
	if s.pool, err = pgxpool.NewWithConfig(ctx, poolConfig); err != nil {
		return nil, fmt.Errorf("open database pool: %w", err)
	}
	return s, nil
}

// withoutPreparing makes new connections prepare nothing, once that is known to fail.
func (s *Store) withoutPreparing(_ context.Context, cfg *pgx.ConnConfig) error {
	if s.unprepared.Load() {
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	return nil
}

// Close waits for the queries under way and closes all connections.
func (s *Store) Close() { s.pool.Close() }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	err := s.again(ctx, func() error { return s.pool.Ping(ctx) })
	if err != nil {
		return fmt.Errorf("ping database: %w", err)
	}
	return nil
}

// one runs a query that gives exactly one row, scanned by column name.
func one[T any](ctx context.Context, s *Store, sql string, args ...any) (T, error) {
	var row T
	err := s.again(ctx, func() error {
		rows, err := s.pool.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		row, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
		return err
	})
	return row, explain(err)
}

// exec runs a statement and returns how many rows it changed.
func (s *Store) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	var changed int64
	err := s.again(ctx, func() error {
		tag, err := s.pool.Exec(ctx, sql, args...)
		changed = tag.RowsAffected()
		return err
	})
	return changed, explain(err)
}
