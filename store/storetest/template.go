package storetest

import (
	"context"

	"coderhook/store"
	"coderhook/store/storetest/pgserver"

	"github.com/jackc/pgx/v5/pgxpool"
)

// rolesLock keeps test binaries that share a server from changing its roles at once.
const rolesLock = 20261123000000

// makeTemplate makes the database that New's are cloned from: as a new Supabase
// project, migrated by the product's admin, as `supabase db push` would be.
func (s *server) makeTemplate(ctx context.Context) error {
	return s.admin.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		if _, err := conn.Exec(ctx, `select pg_advisory_lock($1)`, rolesLock); err != nil {
			return err
		}
		defer conn.Exec(context.WithoutCancel(ctx), `select pg_advisory_unlock($1)`, rolesLock)

		var err error
		if s.template, err = s.create(ctx, "template0"); err != nil {
			return err
		}
		databaseURL, err := in(s.url, s.template)
		if err != nil {
			return err
		}
		if err := pgserver.PrepareSupabase(ctx, databaseURL); err != nil {
			return err
		}
		if err := setPassword(ctx, conn, pgserver.ProductAdmin); err != nil {
			return err
		}
		if _, err := store.Migrate(ctx, store.Config{URL: as(databaseURL, pgserver.ProductAdmin)}); err != nil {
			return err
		}
		return setPassword(ctx, conn, "coderhook")
	})
}

// setPassword lets a role log in.
func setPassword(ctx context.Context, conn *pgxpool.Conn, role string) error {
	_, err := conn.Exec(ctx, `alter role `+quoted(role)+` login password '`+rolePassword+`'`)
	return err
}
