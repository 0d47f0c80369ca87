package main

import (
	"context"
	"net/http"

	"coderhook/cmd/internal/bench/load"

	"github.com/jackc/pgx/v5/pgxpool"
)

// function is the hook in the database, called as Supabase Auth calls it
// (supabase/auth, internal/hooks/hookspgfunc).
type function struct {
	pool  *pgxpool.Pool
	users []load.User
}

func openFunction(ctx context.Context, w *world) (function, error) {
	config, err := pgxpool.ParseConfig(w.authURL)
	if err != nil {
		return function{}, err
	}
	config.MaxConns = poolSize
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return function{}, err
	}
	w.onClose(func() error { pool.Close(); return nil })
	return function{pool, w.users}, nil
}

// Open gives out shares of the pool: Supabase Auth has one, too.
func (f function) Open(_ context.Context, n int) ([]load.Conn, error) {
	conns := make([]load.Conn, n)
	for i := range conns {
		conns[i] = f
	}
	return conns, nil
}

// Close leaves the pool open for the next round.
func (f function) Close() error { return nil }

// Mint calls the function. Where the sign-in has a transaction already, begin and commit are not the hook's.
func (f function) Mint(user int) (status int, claims []byte, err error) {
	ctx := context.Background()
	tx, err := f.pool.Begin(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // it is committed, or broken
	if _, err := tx.Exec(ctx, `set local statement_timeout TO '2000';`); err != nil {
		return 0, nil, err
	}
	if err := tx.QueryRow(ctx, `select public.custom_access_token_hook($1);`, f.users[user].Event).Scan(&claims); err != nil {
		return 0, nil, err
	}
	if _, err := tx.Exec(ctx, `set local statement_timeout TO default;`); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, claims, tx.Commit(ctx)
}
