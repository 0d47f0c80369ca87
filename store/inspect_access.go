package store

import "context"

// Place is where keys stand in a relation.
type Place struct {
	OID  int64
	ID   int16   // the column with the user's id; 0 for none
	Keys []int16 // the columns with keys
}

// asArrays are the parameters of a query about places: $5 relations, $6 their ids; $7 relations, $8 their keys.
func asArrays(places []Place) []any {
	var relations, keyed []int64
	var ids, keys []int16
	for _, p := range places {
		relations, ids = append(relations, p.OID), append(ids, p.ID)
		for _, key := range p.Keys {
			keyed, keys = append(keyed, p.OID), append(keys, key)
		}
	}
	return []any{relations, ids, keyed, keys}
}

const placesSQL = `,
  places as (select c.*, p.id_number from unnest($5::int8[], $6::int2[]) as p (relation, id_number) join pg_catalog.pg_class c on c.oid = p.relation::oid),
  keys as (select relation::oid, number from unnest($7::int8[], $8::int2[]) as k (relation, number))`

// Access is what a role of the Data API may do with the keys at a place, before policies.
type Access struct {
	OID                  int64
	Role                 string // anon or authenticated
	Read, Insert, Update bool
	Move                 bool // update the id, and so give a row to another user
	AbovePolicies        bool // no policy binds it: it bypasses them, or there are none
}

const accessSQL = placesSQL + `
select p.oid::int8 as oid, r.name as role,
       u.usage and exists (select from keys where relation = p.oid and has_column_privilege(r.oid, p.oid, number, 'select')) as read,
       u.usage and u.inserts and exists (select from keys where relation = p.oid and has_column_privilege(r.oid, p.oid, number, 'insert')) as insert,
       u.usage and u.updates and exists (select from keys where relation = p.oid and has_column_privilege(r.oid, p.oid, number, 'update')
                                            and (p.relkind <> 'v' or pg_column_is_updatable(p.oid, number, false))) as update,
       u.usage and u.updates and p.id_number > 0 and has_column_privilege(r.oid, p.oid, nullif(p.id_number, 0), 'update') as move,
       p.relkind in ('v', 'm') or r.above_policies or not p.relrowsecurity
         or not p.relforcerowsecurity and pg_has_role(r.oid, p.relowner, 'usage') as above_policies
  from api_roles r cross join places p
  cross join lateral (select has_schema_privilege(r.oid, p.relnamespace, 'usage') as usage,
                             p.relkind not in ('v', 'm') or pg_relation_is_updatable(p.oid, false) & 4 > 0 as updates,
                             p.relkind not in ('v', 'm') or pg_relation_is_updatable(p.oid, false) & 8 > 0 as inserts) u
 order by 1, 2`

// Access tells of the roles that exist.
func (i *Inspector) Access(ctx context.Context, places []Place) ([]Access, error) {
	return list[Access](ctx, i, "access to the keys", accessSQL, asArrays(places)...)
}

// Grant is one that reaches keys, or the id of a row that has one.
type Grant struct {
	OID       int64
	Privilege string   // SELECT, INSERT or UPDATE
	Grantee   string   // as SQL writes it
	Column    string   // likewise; "" for the whole table
	Roles     []string // of the Data API, to whom it is given or who inherit it
}

const grantsSQL = placesSQL + `,
  entries as (select p.oid, a.grantee, a.privilege_type, '' as of_column from places p
               cross join lateral aclexplode(coalesce(p.relacl, acldefault('r', p.relowner))) a where a.grantee <> p.relowner
              union select p.oid, a.grantee, a.privilege_type, quote_ident(k.attname) from places p
                join pg_catalog.pg_attribute k on k.attrelid = p.oid and not k.attisdropped
               cross join lateral aclexplode(k.attacl) a
               where a.grantee <> p.relowner and (exists (select from keys where relation = p.oid and number = k.attnum)
                  or k.attnum = p.id_number and a.privilege_type = 'UPDATE'))
select oid::int8 as oid, privilege_type as privilege, of_column as column,
       coalesce((select quote_ident(rolname) from pg_catalog.pg_roles where oid = grantee), 'public') as grantee,
       array(select name from api_roles r where case when grantee = 0 then true else pg_has_role(r.oid, grantee, 'usage') end order by 1) as roles
  from entries where privilege_type in ('SELECT', 'INSERT', 'UPDATE')
 order by 1, 2, 3, 4`

// Grants lists what Access comes from.
func (i *Inspector) Grants(ctx context.Context, places []Place) ([]Grant, error) {
	return list[Grant](ctx, i, "grants", grantsSQL, asArrays(places)...)
}

// Policy is one of row level security.
type Policy struct {
	OID         int64    // of the table
	Name        string   // as SQL writes it
	Command     string   // r, a, w, d, or * for all
	Restrictive bool     // it narrows what others allow
	Roles       []string // of the Data API, whom it binds
	Reads       string   // the rule for rows that are there; "" for none
	Writes      string   // the rule for new rows
}

const policiesSQL = placesSQL + `
select polrelid::int8 as oid, quote_ident(polname) as name, polcmd::text as command, not polpermissive as restrictive,
       array(select name from api_roles r where exists (select from unnest(polroles) as bound
               where case when bound = 0 then true else pg_has_role(r.oid, bound, 'usage') end) order by 1) as roles,
       coalesce(pg_get_expr(polqual, polrelid), '') as reads,
       coalesce(pg_get_expr(polwithcheck, polrelid), pg_get_expr(polqual, polrelid), '') as writes
  from places p join pg_catalog.pg_policy y on y.polrelid = p.oid
 order by 1, 2`

// Policies lists all of the places'.
func (i *Inspector) Policies(ctx context.Context, places []Place) ([]Policy, error) {
	return list[Policy](ctx, i, "policies", policiesSQL, asArrays(places)...)
}
