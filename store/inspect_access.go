package store

import "context"

// Access is what a role of the Data API may do with the column of the keys, before policies.
type Access struct {
	Role                 string // anon or authenticated
	Read, Insert, Update bool
	Move                 bool // update the id, and so give a row to another user
	AbovePolicies        bool // no policy binds it: it bypasses them, or the table has none
}

const accessSQL = `
select r.name as role,
       u.usage and has_column_privilege(r.oid, p.oid, k.attnum, 'select') as read,
       u.usage and has_column_privilege(r.oid, p.oid, k.attnum, 'insert') as insert,
       u.usage and has_column_privilege(r.oid, p.oid, k.attnum, 'update') as update,
       u.usage and coalesce((select has_column_privilege(r.oid, p.oid, attnum, 'update') from pg_catalog.pg_attribute
                              where attrelid = p.oid and attname = id_column and not attisdropped), false) as move,
       r.above_policies or not p.relrowsecurity
         or not p.relforcerowsecurity and pg_has_role(r.oid, p.relowner, 'usage') as above_policies
  from api_roles r cross join profiles p
  join named on true
  join pg_catalog.pg_attribute k on k.attrelid = p.oid and k.attname = key_column and not k.attisdropped
  cross join lateral (select has_schema_privilege(r.oid, p.relnamespace, 'usage') as usage) u
 order by 1`

// Access tells of the roles that exist.
func (i *Inspector) Access(ctx context.Context) ([]Access, error) {
	return list[Access](ctx, i, "access to the key", accessSQL)
}

// Grant is one that reaches the column of the keys.
type Grant struct {
	Privilege string   // SELECT, INSERT or UPDATE
	Grantee   string   // as SQL writes it
	OfColumn  bool     // and not of the whole table
	Roles     []string // of the Data API, to whom it is given or who inherit it
}

const grantsSQL = `,
  entries as (select a.grantee, a.privilege_type, false as of_column from profiles p
               cross join lateral aclexplode(coalesce(p.relacl, acldefault('r', p.relowner))) a where a.grantee <> p.relowner
              union select a.grantee, a.privilege_type, true from profiles p join named on true
                join pg_catalog.pg_attribute k on k.attrelid = p.oid and k.attname in (id_column, key_column) and not k.attisdropped
               cross join lateral aclexplode(k.attacl) a where a.grantee <> p.relowner and (k.attname = key_column or a.privilege_type = 'UPDATE'))
select privilege_type as privilege, of_column,
       coalesce((select quote_ident(rolname) from pg_catalog.pg_roles where oid = grantee), 'public') as grantee,
       array(select name from api_roles r where case when grantee = 0 then true else pg_has_role(r.oid, grantee, 'usage') end order by 1) as roles
  from entries where privilege_type in ('SELECT', 'INSERT', 'UPDATE')
 order by 1, 2, 3`

// Grants lists what Access comes from.
func (i *Inspector) Grants(ctx context.Context) ([]Grant, error) {
	return list[Grant](ctx, i, "grants", grantsSQL)
}

// Policy is one of row level security.
type Policy struct {
	Name        string   // as SQL writes it
	Command     string   // r, a, w, d, or * for all
	Restrictive bool     // it narrows what others allow
	Roles       []string // of the Data API, whom it binds
	Reads       string   // the rule for rows that are there; "" for none
	Writes      string   // the rule for new rows
}

const policiesSQL = `
select quote_ident(polname) as name, polcmd::text as command, not polpermissive as restrictive,
       array(select name from api_roles r where exists (select from unnest(polroles) as bound
               where case when bound = 0 then true else pg_has_role(r.oid, bound, 'usage') end) order by 1) as roles,
       coalesce(pg_get_expr(polqual, polrelid), '') as reads,
       coalesce(pg_get_expr(polwithcheck, polrelid), pg_get_expr(polqual, polrelid), '') as writes
  from profiles p join pg_catalog.pg_policy y on y.polrelid = p.oid
 order by 1`

// Policies lists all of the table's.
func (i *Inspector) Policies(ctx context.Context) ([]Policy, error) {
	return list[Policy](ctx, i, "policies", policiesSQL)
}

// View is one that shows the keys with its owner's rights, past the policies.
type View struct {
	Name         string // as SQL writes it
	Materialized bool
	Roles        []string // of the Data API, who may read it
}

const viewsSQL = `,
  views as (select distinct v.oid, v.relkind, v.relnamespace, v.reloptions from profiles p join named on true
              join pg_catalog.pg_attribute k on k.attrelid = p.oid and k.attname = key_column and not k.attisdropped
              join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = p.oid and d.refobjsubid = k.attnum
              join pg_catalog.pg_rewrite w on d.classid = 'pg_catalog.pg_rewrite'::regclass and w.oid = d.objid
              join pg_catalog.pg_class v on v.oid = w.ev_class and v.relkind in ('v', 'm')),
  readable as (select v.*, array(select name from api_roles r where has_schema_privilege(r.oid, v.relnamespace, 'usage')
                      and has_any_column_privilege(r.oid, v.oid, 'select') order by 1) as roles from views v)
select format('%I.%I', n.nspname, c.relname) as name, r.relkind = 'm' as materialized, r.roles
  from readable r join pg_catalog.pg_class c on c.oid = r.oid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where r.roles <> '{}' and not exists (select from unnest(r.reloptions) as o where o ~* '^security_invoker=(true|on|yes|1)$')
 order by 1`

// Views lists those that the Data API's roles may read.
func (i *Inspector) Views(ctx context.Context) ([]View, error) {
	return list[View](ctx, i, "views", viewsSQL)
}
