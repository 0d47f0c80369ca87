// Package store keeps what coderhook knows in Postgres: the product's profiles
// table, which holds the keys, and coderhook's own ledger of accounts.
//
// Every method is one round trip unless it says otherwise, works through a
// transaction-mode pooler, and returns errors without logging them. Time is the
// database's clock, so that replicas need not agree on theirs.
package store

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Store reads and writes accounts. It is safe for concurrent use.
type Store struct {
	pool     *pgxpool.Pool
	sql      statements
	profiles profiles

	seals      seals
	encryption encryption
	replica    string // in the audit trail

	// writers bounds the writes that may wait for a sign-in's lock. If they could take all
	// connections, the look-ups of other sign-ins would wait with them.
	writers *gate

	// unprepared is set once prepared statements turn out not to survive on this
	// way to the database.
	unprepared atomic.Bool

	// What there is of connections, and what it takes to get one: see again.
	gate       *gate
	resets     resets
	open       atomic.Int64 // connections
	shut       atomic.Int64 // since when there was none and the server took none, in Unix nanoseconds; 0: not so
	refusals   atomic.Int64
	closing    context.Context // ends with the store
	stop       context.CancelFunc
	background sync.WaitGroup
	answers    atomic.Int64 // to statements

	cfg       Config
	proven    atomic.Pointer[target] // connected the last time
	targeting sync.Mutex
	target    *target // of the next connection
	filled    *target // with which the pool was filled
}

// writerShare of the connections are the writers' at most, the third part.
const writerShare = 3

// statements are the queries that name the product's table.
type statements struct {
	lookup, updateProfile, insertProfile, readProfile string
	lookupFacts, lookupColumns, userFacts             string
	lookupSets, lookupFactsSets, lookupColumnsSets    string
}

// Open checks cfg and returns a Store. It does not wait for the database, which
// may be down: use [Store.Ping] for that. The caller closes the Store.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	profiles, err := cfg.profiles()
	if err != nil {
		return nil, err
	}
	encryption, err := newEncryption(cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg:      cfg,
		profiles: profiles,
		sql: statements{
			lookup:        profiles.in(lookupSQL),
			updateProfile: profiles.in(updateProfileSQL),
			insertProfile: profiles.in(insertProfileSQL),
			readProfile:   profiles.in(readProfileSQL),
			lookupFacts:   profiles.in(lookupFactsSQL),
			lookupColumns: profiles.in(lookupColumnsSQL),
			userFacts:     profiles.in(userFactsSQL),

			lookupSets:        profiles.in(withSets(lookupSQL)),
			lookupFactsSets:   profiles.in(withSets(lookupFactsSQL)),
			lookupColumnsSets: profiles.in(withSets(lookupColumnsSQL)),
		},
		seals:      newSeals(cfg.LedgerSecrets),
		encryption: encryption,
		replica:    cmp.Or(cfg.Replica, "coderhook"),
	}
	first, poolConfig, err := s.newTarget(cfg)
	if err != nil {
		return nil, err
	}
	s.target, s.filled = first, first
	s.gate = newGate(int(poolConfig.MaxConns), func() { s.background.Go(s.probe) })
	s.writers = newGate(max(1, int(poolConfig.MaxConns)/writerShare), func() {})
	s.resets.now, s.resets.reset = time.Now, func() { s.pool.Reset() }
	poolConfig.BeforeConnect, poolConfig.AfterConnect, poolConfig.BeforeClose = s.beforeConnect, s.afterConnect, s.beforeClose
	s.closing, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if s.pool, err = pgxpool.NewWithConfig(ctx, poolConfig); err != nil {
		s.stop()
		return nil, fmt.Errorf("open database pool: %w", err)
	}
	return s, nil
}

// Close waits for the queries under way and closes all connections.
func (s *Store) Close() {
	s.gate.stopProbing()
	s.stop()
	s.background.Wait()
	s.pool.Close()
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	err := s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error { return conn.Ping(ctx) })
	if err != nil {
		return fmt.Errorf("ping database: %w", err)
	}
	return nil
}

// Writable reports, by [ErrReadOnly], whether the database answers but takes no writes.
func (s *Store) Writable(ctx context.Context) error {
	err := s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		var readOnly string
		err := conn.QueryRow(ctx, `show transaction_read_only`).Scan(&readOnly)
		if err == nil && readOnly == "on" {
			err = ErrReadOnly
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("ask whether the database can be written to: %w", err)
	}
	return nil
}

// one runs a query that gives exactly one row, scanned by column name.
func one[T any](ctx context.Context, s *Store, sql string, args ...any) (T, error) {
	return scanned(ctx, s, pgx.RowToStructByName[T], sql, args)
}

// oneInOrder is one for a query at every mint, whose columns have to stand in the order of the fields.
func oneInOrder[T any](ctx context.Context, s *Store, sql string, args ...any) (T, error) {
	return scanned(ctx, s, pgx.RowToStructByPos[T], sql, args)
}

func scanned[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], sql string, args []any) (T, error) {
	var row T
	err := s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		row, err = pgx.CollectExactlyOneRow(rows, scan)
		return err
	})
	return row, explain(err)
}

// exec runs a statement and returns how many rows it changed.
func (s *Store) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	var changed int64
	err := s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		tag, err := conn.Exec(ctx, sql, args...)
		changed = tag.RowsAffected()
		return err
	})
	return changed, explain(err)
}
