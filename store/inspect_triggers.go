package store

import "context"

// RowTrigger is one of a table with keys.
type RowTrigger struct {
	OID       int64  // of the table
	Table     string // as SQL writes it
	Name      string // likewise
	Function  string // likewise, with its schema
	Language  string
	Source    string
	Definer   bool // the function has its owner's rights
	Before    bool
	Fires     bool // when the server writes a key: at every insert or update, as far as the catalogue tells
	Sometimes bool // but only under a condition
	UsesAuth  bool // the role coderhook may use the schema auth

	Transitions []string // names for the rows that were written
}

// A trigger that came from the parent of a partition is listed with the parent.
const rowTriggersSQL = `
select t.tgrelid::int8 as oid, format('%I.%I', n.nspname, c.relname) as table, quote_ident(t.tgname) as name,
       format('%I.%I', fn.nspname, f.proname) as function, l.lanname::text as language, f.prosrc as source, f.prosecdef as definer,
       t.tgtype & 2 > 0 as before, t.tgqual is not null as sometimes,
       t.tgtype & 4 > 0 or t.tgtype & 16 > 0 and (t.tgattr = ''::int2vector or exists (
         select from pg_catalog.pg_attribute k, named where k.attrelid = c.oid and k.attname = key_column and k.attnum = any (t.tgattr))) as fires,
       coalesce((select has_schema_privilege(r.oid, a.oid, 'usage') from pg_catalog.pg_roles r, pg_catalog.pg_namespace a
                  where r.rolname = 'coderhook' and a.nspname = 'auth'), true) as uses_auth,
       array_remove(array[tgnewtable::text, tgoldtable::text], null) as transitions
  from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_proc f on f.oid = t.tgfoid join pg_catalog.pg_namespace fn on fn.oid = f.pronamespace join pg_catalog.pg_language l on l.oid = f.prolang
 where t.tgrelid::int8 = any ($5::int8[]) and not t.tgisinternal and t.tgparentid = 0 and t.tgenabled <> 'D'
 order by 2, 3`

// RowTriggers lists those of the tables.
func (i *Inspector) RowTriggers(ctx context.Context, tables []int64) ([]RowTrigger, error) {
	return list[RowTrigger](ctx, i, "triggers", rowTriggersSQL, tables)
}

// Rule is a rewrite rule for writes to a table with keys.
type Rule struct {
	Table, Name string   // as SQL writes them
	Instead     bool     // the write itself is not made
	NamesKey    bool     // it uses the key, or the whole row
	Schemas     []string // of the other tables that it names,
	Tables      []string // and their names
}

const rulesSQL = `
select format('%I.%I', n.nspname, c.relname) as table, quote_ident(w.rulename) as name, w.is_instead as instead,
       w.ev_action::text ~ ':varattno 0 ' or exists (select from pg_catalog.pg_depend d join pg_catalog.pg_attribute k on k.attrelid = c.oid and k.attnum = d.refobjsubid, named
                where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid and d.refobjid = c.oid and k.attname = key_column) as names_key,
       array(select o.nspname::text ` + ruleTargetsSQL + `) as schemas, array(select t.relname::text ` + ruleTargetsSQL + `) as tables
  from pg_catalog.pg_rewrite w join pg_catalog.pg_class c on c.oid = w.ev_class join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.oid::int8 = any ($5::int8[]) and w.ev_type <> '1' and w.ev_enabled <> 'D'
 order by 1, 2`

const ruleTargetsSQL = `from pg_catalog.pg_class t join pg_catalog.pg_namespace o on o.oid = t.relnamespace
          where t.oid <> c.oid and exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
            and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = t.oid) order by t.oid`

// Rules lists those of the tables.
func (i *Inspector) Rules(ctx context.Context, tables []int64) ([]Rule, error) {
	return list[Rule](ctx, i, "rules", rulesSQL, tables)
}
