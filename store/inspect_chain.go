package store

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ChainHook is what the database has of [Config.ChainHook].
type ChainHook struct {
	Exists   bool     // takes jsonb, and returns it
	Callable bool     // by this role
	Definer  bool     // runs with its owner's rights
	Needs    []string // SQL that gives this role what it lacks: to call it, and what Supabase Auth's role may do with the tables that it names
}

// Supabase Auth's own tables are left out: nobody can grant on them.
const chainHookSQL = `,
  hook as (select p.*, n.oid as in_schema from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
            where n.nspname = $5 and p.proname = $6 and p.prokind = 'f' and p.pronargs = 1
              and p.proargtypes[0] = 'jsonb'::regtype and p.prorettype in ('jsonb'::regtype, 'json'::regtype)),
  auth_admin as (select oid from pg_catalog.pg_roles where rolname = 'supabase_auth_admin'),
  tables as (select c.*, n.nspname, n.oid as in_schema from hook h, pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where not h.prosecdef and c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname <> 'auth' and strpos(h.prosrc, c.relname) > 0),
  rights as (select t.oid, t.nspname, t.relname, t.in_schema, a.privilege_type
               from tables t, auth_admin, aclexplode(t.relacl) a
              where a.grantee = auth_admin.oid and a.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')),
  needs as (
    select 0 as turn, format('grant usage on schema %I to %I;', n.nspname, current_user) as sql
      from hook h join pg_catalog.pg_namespace n on n.oid = h.in_schema where not has_schema_privilege(h.in_schema, 'usage')
    union
    select 0, format('grant execute on function %s to %I;', h.oid::regprocedure, current_user) from hook h
     where not has_function_privilege(h.oid, 'execute')
    union
    select 1, format('grant usage on schema %I to %I;', nspname, current_user) from rights
     where not has_schema_privilege(in_schema, 'usage')
    union
    select 2, format('grant %s on %I.%I to %I;', string_agg(lower(privilege_type), ', ' order by privilege_type), nspname, relname, current_user) from rights
     where not has_table_privilege(oid, privilege_type) group by nspname, relname
    union
    select 3, format('alter policy %I on %I.%I to %s, %I;', p.polname, t.nspname, t.relname,
                     (select string_agg(quote_ident(r.rolname), ', ' order by r.rolname) from pg_catalog.pg_roles r where r.oid = any(p.polroles)), current_user)
      from tables t join pg_catalog.pg_policy p on p.polrelid = t.oid, auth_admin
     where t.relrowsecurity and auth_admin.oid = any(p.polroles)
       and not exists (select from pg_catalog.pg_roles r where r.oid = any(p.polroles) and pg_has_role(r.oid, 'usage')))
select exists (select from hook) as exists,
       exists (select from hook h where has_schema_privilege(h.in_schema, 'usage') and has_function_privilege(h.oid, 'execute')) as callable,
       coalesce((select prosecdef from hook), false) as definer,
       array(select sql from needs order by turn, sql) as needs`

// ChainHook looks at the chained function.
func (i *Inspector) ChainHook(ctx context.Context) (ChainHook, error) {
	schema, name, _ := strings.Cut(i.chain.ChainHook, ".")
	return found[ChainHook](ctx, i, "chained hook", chainHookSQL, schema, name)
}

// Supabase Auth's other hooks take and return jsonb as well, but no claims. Whoever may call a function by PUBLIC only, as
// everybody may unless that is revoked, is no sign of a hook.
const tokenHooksSQL = `
select format('%s.%s', n.nspname, p.proname) as name
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_roles r on r.rolname = 'supabase_auth_admin'
 where p.prokind = 'f' and p.pronargs = 1 and p.proargtypes[0] = 'jsonb'::regtype and p.prorettype = 'jsonb'::regtype
   and n.nspname not in ('pg_catalog', 'coderhook') and strpos(p.prosrc, 'claims') > 0
   and has_schema_privilege(r.oid, n.oid, 'usage') and has_function_privilege(r.oid, p.oid, 'execute')
   and (p.proargnames[1] = 'event' or exists (select from aclexplode(p.proacl) a where a.grantee = r.oid))
 order by 1`

// TokenHooks names the functions that look like access-token hooks of Supabase Auth.
func (i *Inspector) TokenHooks(ctx context.Context) (names []string, err error) {
	rows, err := list[struct{ Name string }](ctx, i, "access-token hooks", tokenHooksSQL)
	for _, row := range rows {
		names = append(names, row.Name)
	}
	return names, err
}

// TryChainHook calls the chained function as [Store.CallChainHook] does, and takes back what it did. The result is the
// SQLSTATE of its error, or "".
func (i *Inspector) TryChainHook(ctx context.Context, event []byte) (state string, err error) {
	tx, err := i.conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: beginHook(ctx)})
	if err != nil {
		return "", err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // there is nothing to keep
	_, err = tx.Exec(ctx, "select "+i.chain.chainHook()+"($1::text::jsonb)::text", string(event))
	if state := sqlState(err); state != "" {
		return state, nil
	}
	return "", err
}
