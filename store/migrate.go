package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"slices"

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
	Added                                         []string // other tables, columns and functions, and policies
	Given, Taken                                  int      // rights on all of them
	Watched                                       bool     // triggers on auth.users tell who leaves
}

// Migrate brings the database up to date in one transaction, on a connection of
// its own. Any number of replicas may do so at once, before or after
// `supabase db push`. The role of the URL must own the profiles table and may
// create roles; after the first time, the role coderhook will do. Each step is
// asked, in the same transaction, for statements to run then.
func Migrate(ctx context.Context, cfg Config, then ...Step) (Migration, error) {
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
		if _, err := tx.Exec(ctx, triggerSQL, triggerSetting(cfg)); err != nil {
			return err
		}
		if done, err = migrate(ctx, tx, profiles); err != nil {
			return err
		}
		if err := profiles.grantColumns(ctx, tx); err != nil {
			return err
		}
		return takeSteps(ctx, tx, &Inspector{db: tx, profiles: profiles}, then)
	})
	if err != nil {
		return Migration{}, fmt.Errorf("migrate: %w", withOwner(withHint(err)))
	}
	return done, nil
}

// Step looks at what was migrated, and says which SQL is to be run.
type Step func(context.Context, *Inspector) ([]string, error)

func takeSteps(ctx context.Context, tx pgx.Tx, i *Inspector, steps []Step) error {
	for _, step := range steps {
		sql, err := step(ctx, i)
		if err != nil {
			return err
		}
		for _, statement := range sql {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
	}
	return nil
}

// triggerSQL is for this transaction only.
const triggerSQL = `select set_config('coderhook.departures_trigger', $1, true)`

func triggerSetting(cfg Config) string {
	if cfg.NoTrigger {
		return "off"
	}
	return "on"
}

// withOwner adds who may do what was refused.
func withOwner(err error) error {
	if sqlState(err) == insufficientRights {
		return fmt.Errorf("%w; run it as the owner of the tables (role postgres in Supabase)", err)
	}
	return err
}

func migrate(ctx context.Context, tx pgx.Tx, p profiles) (Migration, error) {
	if _, err := tx.Exec(ctx, safePathSQL); err != nil {
		return Migration{}, err
	}
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, migrationLock); err != nil {
		return Migration{}, err
	}
	if err := refuse(ctx, tx, p); err != nil {
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
	after, err := inspect(ctx, tx, p)
	if err != nil {
		return Migration{}, err
	}
	return Migration{
		Added:        without(after.Objects, before.Objects),
		Given:        len(without(after.Rights, before.Rights)),
		Taken:        len(without(before.Rights, after.Rights)),
		Files:        files,
		NewRole:      !before.Role,
		NewLedger:    !before.Ledger,
		NewProfiles:  !before.Profiles,
		NewKeyColumn: !before.KeyColumn,
		Watched:      after.Watched,
	}, nil
}

// refuse ends before anything is changed for a table that can't be used.
func refuse(ctx context.Context, tx pgx.Tx, p profiles) error {
	i := &Inspector{db: tx, profiles: p}
	shape, err := i.Shape(ctx)
	if err != nil {
		return err
	}
	return i.Refusal(shape)
}

const inspectSQL = `
with watched as (` + watchedSQL + `),
  ours as (select oid from pg_catalog.pg_namespace where nspname = 'coderhook'),
  profiles as (select c.oid, c.relacl from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1 and c.relname = $2)
select exists (select from pg_catalog.pg_roles where rolname = 'coderhook') as role,
       exists (select from pg_catalog.pg_tables where schemaname = 'coderhook' and tablename = 'accounts') as ledger,
       exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1 and c.relname = $2) as profiles,
       exists (select from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
                 join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1 and c.relname = $2 and a.attname = $3 and not a.attisdropped) as key_column,
       (select watched from watched) as watched,
       array(select 'the triggers on auth.users' from watched where watched
             union all
             select 'the policy ' || y.polname || ' on ' || $1 || '.' || $2 from pg_catalog.pg_policy y join profiles p on y.polrelid = p.oid
             union all
             select 'the function coderhook.' || proname from pg_catalog.pg_proc, ours where pronamespace = ours.oid
             union all
             select 'the table coderhook.' || relname from pg_catalog.pg_class, ours where relnamespace = ours.oid and relkind = 'r' and relname <> 'accounts'
             union all
             select 'the column coderhook.accounts.' || attname from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid, ours
              where relnamespace = ours.oid and relname = 'accounts' and attnum > 0 and not attisdropped)::text[] as objects,
       array(select concat_ws(' ', object, r.grantee, r.privilege_type) from (
               select 'schema ' || nspname as object, nspacl as acl from pg_catalog.pg_namespace where nspname in ('coderhook', $1)
               union all
               select 'relation ' || c.oid, coalesce(relacl, acldefault('r', relowner)) from pg_catalog.pg_class c, ours where relnamespace = ours.oid and relkind = 'r'
               union all
               select 'relation ' || oid, relacl from profiles
               union all
               select 'column ' || attnum, attacl from pg_catalog.pg_attribute join profiles p on attrelid = p.oid
               union all
               select 'function ' || f.oid, coalesce(proacl, acldefault('f', proowner)) from pg_catalog.pg_proc f, ours where pronamespace = ours.oid
             ) as acls, aclexplode(acl) as r where r.grantee <> r.grantor)::text[] as rights`

type inspection struct {
	Role, Ledger, Profiles, KeyColumn, Watched bool
	Objects, Rights                            []string
}

// inspect says what is there already.
func inspect(ctx context.Context, tx pgx.Tx, p profiles) (inspection, error) {
	rows, err := tx.Query(ctx, inspectSQL, p.schema, p.table, p.key)
	if err != nil {
		return inspection{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[inspection])
}

// without returns what of all is not among the known.
func without(all, known []string) (rest []string) {
	for _, item := range all {
		if !slices.Contains(known, item) {
			rest = append(rest, item)
		}
	}
	return rest
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

// grantColumns lets the server read what rules look at.
func (p profiles) grantColumns(ctx context.Context, tx pgx.Tx) error {
	for _, column := range p.columns {
		sql := fmt.Sprintf("grant select (%s) on %s to coderhook", pgx.Identifier{column}.Sanitize(), pgx.Identifier{p.schema, p.table}.Sanitize())
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("column %s of PROFILES_POLICY_COLUMNS: %w", column, err)
		}
	}
	return nil
}
