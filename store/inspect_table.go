package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ErrUnusable says that what is named as the product's table can't be that.
var ErrUnusable = errors.New("the profiles table can't be used")

// Ledger says what of the migrations is there, and what the URL's role may do with it.
type Ledger struct {
	Missing []string // what the migrations, to the newest, make and is not there
	Table   bool     // coderhook.accounts is there
	Usable  bool     // by the URL's role
	Member  bool     // the URL's role has the rights of the role coderhook
	OpenTo  []string // API roles that may read or write the ledger
}

// Complete is whether all migrations were applied.
func (l Ledger) Complete() bool { return len(l.Missing) == 0 }

// missingSQL lists what the migrations make, and is not there. A migration that makes something new adds it.
const missingSQL = `
  (select array_agg(wanted.what order by wanted.n) from unnest(array[
     'role coderhook', 'table coderhook.accounts', 'function coderhook.auth_users_state',
     'column coderhook.accounts.key_lifetime_seconds', 'column coderhook.accounts.key_checked_at', 'column coderhook.accounts.key_refused_at',
     'column coderhook.accounts.token_seconds', 'column coderhook.accounts.linked', 'column coderhook.accounts.suspended_by_us', 'column coderhook.accounts.seal',
     'column coderhook.accounts.unseen_key_id',
     'table coderhook.retired_keys', 'table coderhook.tasks', 'table coderhook.audit', 'function coderhook.auth_user_ids', 'function coderhook.prune_audit', 'function coderhook.auth_address_confirmed',
     'function coderhook.auth_sessions_living',
     'table coderhook.departures', 'function coderhook.user_changed', 'function coderhook.users_at_odds', 'table coderhook.encryption_keys', 'table coderhook.keys',
     'column coderhook.accounts.ineligible_since', 'column coderhook.accounts.key_grant', 'function coderhook.auth_user_facts', 'function coderhook.auth_living_users',
     'column coderhook.accounts.looked_at', 'column coderhook.accounts.worked_at', 'column coderhook.tasks.result'
   ]) with ordinality as wanted (what, n)
   where wanted.what not in (
     select 'role ' || rolname from pg_catalog.pg_roles where rolname = 'coderhook'
     union all
     select 'table coderhook.' || c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace s on s.oid = c.relnamespace where s.nspname = 'coderhook'
     union all
     select 'column coderhook.' || c.relname || '.' || a.attname from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
       join pg_catalog.pg_namespace s on s.oid = c.relnamespace
      where s.nspname = 'coderhook' and c.relname in ('accounts', 'tasks') and not a.attisdropped
     union all
     select 'function coderhook.' || p.proname from pg_catalog.pg_proc p join pg_catalog.pg_namespace s on s.oid = p.pronamespace where s.nspname = 'coderhook'
     -- Without the table its columns go without saying.
     union all
     select wanted.what where wanted.what like 'column %' and not exists (
       select from pg_catalog.pg_class c join pg_catalog.pg_namespace s on s.oid = c.relnamespace where s.nspname = 'coderhook' and c.relname = split_part(wanted.what, '.', 2))))`

const ledgerSQL = `,
  ledger as (select c.oid, n.oid as in_schema from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where n.nspname = 'coderhook' and c.relname = 'accounts'),
  state as (select p.oid from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
             where n.nspname = 'coderhook' and p.proname in ('auth_users_state', 'auth_user_ids', 'prune_audit', 'auth_address_confirmed', 'auth_sessions_living', 'users_at_odds',
                                                     'auth_user_facts', 'auth_living_users')),
  others as (select c.oid, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where n.nspname = 'coderhook' and c.relname in ('retired_keys', 'tasks', 'audit', 'departures', 'encryption_keys', 'keys'))
select coalesce(` + missingSQL + `, '{}')::text[] as missing,
       exists (select from ledger) as table,
       coalesce((select has_schema_privilege(in_schema, 'usage') and has_table_privilege(oid, 'select') and has_table_privilege(oid, 'insert')
                    and has_table_privilege(oid, 'update') and has_table_privilege(oid, 'delete') from ledger), false)
         and coalesce((select bool_and(has_function_privilege(oid, 'execute')) from state), false)
         and coalesce((select bool_and(has_table_privilege(oid, 'select') and has_table_privilege(oid, 'insert')) from others), false)
         and coalesce((select bool_and(has_table_privilege(oid, 'update') and has_table_privilege(oid, 'delete')) from others where relname <> 'audit'), false) as usable,
       coalesce((select pg_has_role(oid, 'usage') from pg_catalog.pg_roles where rolname = 'coderhook'), false) as member,
       array(select name from api_roles r, ledger l where has_schema_privilege(r.oid, l.in_schema, 'usage')
                and (has_table_privilege(r.oid, l.oid, 'select, insert, update, delete')
                     or exists (select from others o where o.relname = 'keys' and has_table_privilege(r.oid, o.oid, 'select, insert, update, delete'))) order by 1) as open_to`

// Ledger looks for what the migrations make.
func (i *Inspector) Ledger(ctx context.Context) (Ledger, error) {
	return found[Ledger](ctx, i, "ledger", ledgerSQL)
}

const memberSQL = `select coder_user_id from coderhook.accounts where coder_user_id is not null limit 1`

// Member is any Coder user of the ledger, zero where there is none yet.
func (i *Inspector) Member(ctx context.Context) (uuid.UUID, error) {
	var id uuid.UUID
	err := i.conn.QueryRow(ctx, memberSQL).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	if err != nil {
		return id, fmt.Errorf("inspect ledger: %w", err)
	}
	return id, nil
}

// Table is the shape of the product's table. Its names are as SQL writes them.
type Table struct {
	Exists          bool
	Kind            string   // table, partitioned table, view, materialized view or foreign table; "" where there is none
	KeyGenerated    bool     // Postgres computes the key's column, and nobody can write it
	ID              string   // the name of its column
	IDType, KeyType string   // "" where there is no such column
	IDUnique        bool     //
	Required        []string // columns that have neither a default nor may be null, but for id
	RowSecurity     bool     //
	Policies        bool     // that let the URL's role read, insert and update, or it is above them
	Rights          bool     // the URL's role may read, insert and update id and key
	ForeignKey      string   // of the id, to auth.users; "" for none
	Cascades        bool     // when the user is deleted
}

const tableSQL = `,
  columns as (select a.* from profiles p join pg_catalog.pg_attribute a on a.attrelid = p.oid and a.attnum > 0 and not a.attisdropped),
  id as (select columns.* from columns join named on attname = id_column),
  key as (select columns.* from columns join named on attname = key_column),
  reference as (select k.* from profiles p join pg_catalog.pg_constraint k on k.conrelid = p.oid and k.contype = 'f' join id on k.conkey = array[id.attnum]
                 where k.confrelid = (select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                                       where n.nspname = 'auth' and c.relname = 'users')
                 order by k.confdeltype = 'c' desc limit 1),
  allowed as (select distinct case polcmd when '*' then c else polcmd::text end as command
                from profiles p join pg_catalog.pg_policy y on y.polrelid = p.oid and polpermissive,
                     lateral unnest(array['r', 'a', 'w']) as c,
                     lateral unnest(polroles) as r
               where case when r = 0 then true else pg_has_role(r, 'usage') end)
select exists (select from profiles) as exists,
       coalesce((select case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table' when 'p' then 'partitioned table' else 'table' end from profiles), '') as kind,
       coalesce((select attgenerated <> '' from key), false) as key_generated,
       quote_ident((select id_column from named)) as id,
       coalesce((select format_type(atttypid, atttypmod) from id), '') as id_type,
       coalesce((select format_type(atttypid, atttypmod) from key), '') as key_type,
       exists (select from profiles p join pg_catalog.pg_index x on x.indrelid = p.oid join id on true
                where x.indisunique and x.indpred is null and x.indnkeyatts = 1 and x.indkey[0] = id.attnum) as id_unique,
       array(select quote_ident(attname) from columns, named where attnotnull and not atthasdef and attidentity = ''
                and attname not in (id_column, key_column) order by attnum) as required,
       coalesce((select relrowsecurity from profiles), false) as row_security,
       coalesce((select not row_security_active(oid) from profiles), false) or (select count(*) from allowed where command in ('r', 'a', 'w')) = 3 as policies,
       coalesce((select has_schema_privilege(p.relnamespace, 'usage')
                    and has_column_privilege(p.oid, id.attnum, 'select') and has_column_privilege(p.oid, key.attnum, 'select')
                    and has_column_privilege(p.oid, id.attnum, 'insert') and has_column_privilege(p.oid, key.attnum, 'insert')
                    and has_column_privilege(p.oid, key.attnum, 'update') from profiles p, id, key), false) as rights,
       coalesce((select quote_ident(conname) from reference), '') as foreign_key,
       coalesce((select confdeltype = 'c' from reference), false) as cascades`

// Shape looks at the product's table.
func (i *Inspector) Shape(ctx context.Context) (Table, error) {
	return found[Table](ctx, i, "profiles table", tableSQL)
}

// Partitioned reports whether the rows are in partitions.
func (t Table) Partitioned() bool { return t.Kind == "partitioned table" }

// Refusal is why the product's table can't be one, whatever the migrations do, or nil. It tells what to do.
func (i *Inspector) Refusal(t Table) error {
	switch {
	case t.Exists && t.Kind != "table" && !t.Partitioned():
		return fmt.Errorf("%w: %s is a %s; name in PROFILES_TABLE the table of this database that holds the rows", ErrUnusable, i.Table(), t.Kind)
	case t.KeyGenerated:
		return fmt.Errorf("%w: Postgres computes the column %s of %s, so that no key can be written; name another in PROFILES_KEY_COLUMN, or run alter table %s alter column %s drop expression",
			ErrUnusable, i.Key(), i.Table(), i.Table(), i.Key())
	}
	return nil
}
