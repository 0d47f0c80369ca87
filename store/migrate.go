package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// The files are also for `supabase db push`, which reads them by these names.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the key of the advisory lock, which the files take as well.
const migrationLock = 20261123000001

// Migration is what [Migrate] found and did.
type Migration struct {
	Files []string // applied, in order; each can be applied any number of times
	// What was not there before.
	NewRole, NewLedger, NewProfiles, NewKeyColumn bool
}

// Migrate brings the database up to date in one transaction, on a connection of
// its own. Any number of replicas may do so at once, before or after
// `supabase db push`. The role of the URL must own the profiles table and may
// create roles; after the first time, the role coderhook will do.
func Migrate(ctx context.Context, cfg Config) (Migration, error) {
	profiles, err := cfg.profiles()
	if err != nil {
		return Migration{}, err
	}
	pool, err := cfg.pool()
	if err != nil {
		return Migration{}, err
	}
	// Several statements at once, and no prepared ones: the simple protocol.
	pool.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, pool.ConnConfig)
	if err != nil {
		return Migration{}, fmt.Errorf("migrate: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))

	var done Migration
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		done, err = migrate(ctx, tx, profiles)
		return err
	})
	if err != nil {
		return Migration{}, fmt.Errorf("migrate: %w", withHint(err))
	}
	return done, nil
}

func migrate(ctx context.Context, tx pgx.Tx, p profiles) (Migration, error) {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, migrationLock); err != nil {
		return Migration{}, err
	}
	before, err := inspect(ctx, tx, p)
	if err != nil {
		return Migration{}, err
	}
	if err := configure(ctx, tx, p); err != nil {
		return Migration{}, err
	}
	files, err := apply(ctx, tx)
	if err != nil {
		return Migration{}, err
	}
	return Migration{
		Files:        files,
		NewRole:      !before.Role,
		NewLedger:    !before.Ledger,
		NewProfiles:  !before.Profiles,
		NewKeyColumn: !before.KeyColumn,
	}, nil
}

const inspectSQL = `
select exists (select from pg_catalog.pg_roles where rolname = 'coderhook') as role,
       exists (select from pg_catalog.pg_tables where schemaname = 'coderhook' and tablename = 'accounts') as ledger,
       exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1 and c.relname = $2) as profiles,
       exists (select from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
                 join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1 and c.relname = $2 and a.attname = $3 and not a.attisdropped) as key_column`

type inspection struct{ Role, Ledger, Profiles, KeyColumn bool }

// inspect says what is there already.
func inspect(ctx context.Context, tx pgx.Tx, p profiles) (inspection, error) {
	rows, err := tx.Query(ctx, inspectSQL, p.schema, p.table, p.key)
	if err != nil {
		return inspection{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[inspection])
}

const configureSQL = `
select set_config('coderhook.profiles_table', $1, true),
       set_config('coderhook.profiles_id_column', $2, true),
       set_config('coderhook.profiles_key_column', $3, true)`

// configure tells the files the product's names, for this transaction only.
func configure(ctx context.Context, tx pgx.Tx, p profiles) error {
	_, err := tx.Exec(ctx, configureSQL, p.schema+"."+p.table, p.id, p.key)
	return err
}

func apply(ctx context.Context, tx pgx.Tx) ([]string, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		sql, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		names[i] = name[len("migrations/"):]
		if _, err := tx.Conn().PgConn().Exec(ctx, string(sql)).ReadAll(); err != nil {
			return nil, fmt.Errorf("%s: %w", names[i], err)
		}
	}
	return names, nil
}
