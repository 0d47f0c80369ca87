package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Inspector looks at a database. It reads the catalogues, which every role may, changes
// nothing and judges nothing. It works through any pooler.
type Inspector struct {
	conn     *pgx.Conn // its own; nil where it asks through somebody else's
	db       querier
	profiles profiles
	chain    Config // names the chained hook
	pooled   bool   // the URL says that a pooler is in between
}

// Inspect connects. The caller closes the Inspector.
func Inspect(ctx context.Context, cfg Config) (*Inspector, error) {
	profiles, err := cfg.profiles()
	if err != nil {
		return nil, err
	}
	pool, err := cfg.pool()
	if err != nil {
		return nil, err
	}
	i := &Inspector{profiles: profiles, chain: cfg, pooled: withoutPreparing(pool.ConnConfig.DefaultQueryExecMode)}
	// Whatever the URL says: a pooler that it does not tell of is to be found, not tripped over.
	pool.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	if i.conn, err = pgx.ConnectConfig(ctx, pool.ConnConfig); err != nil {
		return nil, fmt.Errorf("connect to database: %w", err)
	}
	i.db = i.conn
	return i, nil
}

// querier is a connection, a pool of them, or a transaction.
type querier interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Inspector asks through the Store's pool. It needs no Close, and cannot tell of the way to the database.
func (s *Store) Inspector() *Inspector { return &Inspector{db: s.pool, profiles: s.profiles} }

// Close ends the connection.
func (i *Inspector) Close(ctx context.Context) error { return i.conn.Close(ctx) }

// Table is the product's table, ID and Key are its columns, as SQL writes them.
func (i *Inspector) Table() string { return i.profiles.in("{table}") }

// ID is the column with the user's uuid.
func (i *Inspector) ID() string { return i.profiles.in("{id}") }

// Key is the column with the key.
func (i *Inspector) Key() string { return i.profiles.in("{key}") }

func withoutPreparing(mode pgx.QueryExecMode) bool {
	return mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol
}

// found is the only row of a query about the product's table: $1 schema, $2 table, $3 id, $4 key column.
func found[T any](ctx context.Context, i *Inspector, what, sql string, more ...any) (row T, err error) {
	err = i.query(ctx, sql, more, func(rows pgx.Rows) (err error) {
		row, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
		return err
	})
	if err != nil {
		return row, fmt.Errorf("inspect %s: %w", what, err)
	}
	return row, nil
}

// list is found for any number of rows.
func list[T any](ctx context.Context, i *Inspector, what, sql string, more ...any) (all []T, err error) {
	err = i.query(ctx, sql, more, func(rows pgx.Rows) (err error) {
		all, err = pgx.CollectRows(rows, pgx.RowToStructByName[T])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", what, err)
	}
	return all, nil
}

// safePathSQL makes names mean what they do in pg_catalog, for this transaction only: whoever may create
// in public can put functions and operators there that fit our arguments better.
const safePathSQL = `select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)`

// query names the four parameters once, so that a query may use any of them. More begin with $5.
func (i *Inspector) query(ctx context.Context, sql string, more []any, collect func(pgx.Rows) error) error {
	const names = `with recursive named as (select $1::text as in_schema, $2::text as in_table, $3::text as id_column, $4::text as key_column),
  profiles as (select c.* from named join pg_catalog.pg_namespace n on n.nspname = in_schema
                 join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = in_table),
  api_roles as (select oid, rolname::text as name, rolsuper or rolbypassrls as above_policies
                  from pg_catalog.pg_roles where rolname in ('anon', 'authenticated'))
`
	p := i.profiles
	return pgx.BeginFunc(ctx, i.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, safePathSQL); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, names+sql, append([]any{p.schema, p.table, p.id, p.key}, more...)...)
		if err != nil {
			return err
		}
		return collect(rows)
	})
}

// Server is who answers, and whom it takes us for.
type Server struct {
	Version    string // 15.8
	Now        time.Time
	Role       string
	Excess     []string // attributes of the role that the server does not need
	IsSupabase bool     // auth.users is there
}

const serverSQL = `
select current_setting('server_version') as version, clock_timestamp() as now, current_user::text as role,
       array_remove(array[case when rolsuper then 'superuser' end, case when rolbypassrls then 'bypassrls' end,
                          case when rolcreaterole then 'createrole' end, case when rolcreatedb then 'createdb' end,
                          case when rolreplication then 'replication' end], null)::text[] as excess,
       exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where n.nspname = 'auth' and c.relname = 'users') as is_supabase
  from pg_catalog.pg_roles where rolname = current_user`

// Server asks the server who it is.
func (i *Inspector) Server(ctx context.Context) (Server, error) {
	return found[Server](ctx, i, "server", serverSQL)
}
