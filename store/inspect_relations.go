package store

import "context"

// Kind says why keys stand in a relation.
type Kind string

// The product's table, and what holds rows of it.
const (
	Profiles Kind = "profiles"
	Child    Kind = "child"  // a partition of the table, or inherits from it, at any depth
	Parent   Kind = "parent" // the table is a partition of it, or inherits from it
	Copy     Kind = "copy"   // a trigger or a rule may write there
)

// Relation is a table or a view in which keys may stand. Its columns are in their order.
type Relation struct {
	OID     int64
	Name    string   // as SQL writes it
	Columns []string // likewise
	Numbers []int16  // of the columns, in the catalogue
	Roomy   []bool   // whether the column's type can hold a key, alone or among other things
	ID, Key int16    // numbers of the columns that are named like those of the product's table; 0 for none
}

// KeyTable is a Relation with rows of its own.
type KeyTable struct {
	Relation
	Kind Kind
}

// TableName is one as a function's source has it. Without a schema it may be in any.
type TableName struct{ Schema, Table string }

// columnsSQL are a Relation's of c, which a query calls so.
const columnsSQL = `
       array(select quote_ident(attname) from pg_catalog.pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped order by attnum) as columns,
       array(select attnum from pg_catalog.pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped order by attnum) as numbers,
       array(select typcategory in ('S', 'A', 'C', 'P', 'U', 'X', 'Z') and typname <> 'uuid' from pg_catalog.pg_attribute
               join pg_catalog.pg_type t on t.oid = atttypid where attrelid = c.oid and attnum > 0 and not attisdropped order by attnum) as roomy,
       coalesce((select attnum from pg_catalog.pg_attribute, named where attrelid = c.oid and attname = id_column and not attisdropped), 0)::int2 as id,
       coalesce((select attnum from pg_catalog.pg_attribute, named where attrelid = c.oid and attname = key_column and not attisdropped), 0)::int2 as key`

const keyTablesSQL = `,
  down as (select oid from profiles union select inhrelid from down join pg_catalog.pg_inherits on inhparent = down.oid),
  up as (select oid from profiles union select inhparent from up join pg_catalog.pg_inherits on inhrelid = up.oid),
  copies as (select c.oid from unnest($5::text[], $6::text[]) as t (in_schema, in_table) join pg_catalog.pg_class c on c.relname = t.in_table
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace and (t.in_schema = '' or n.nspname = t.in_schema) where c.relkind in ('r', 'p', 'f')),
  tables as (select oid, case when oid in (select oid from profiles) then 'profiles' when oid in (select oid from down) then 'child'
                              when oid in (select oid from up) then 'parent' else 'copy' end as kind
               from (select oid from down union select oid from up union select oid from copies) as every (oid))
select c.oid::int8 as oid, format('%I.%I', n.nspname, c.relname) as name, t.kind,` + columnsSQL + `
  from tables t join pg_catalog.pg_class c on c.oid = t.oid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p', 'f')
 order by t.kind = 'profiles' desc, name`

// KeyTables lists the product's table with its relatives, and the copies if they are there.
func (i *Inspector) KeyTables(ctx context.Context, copies []TableName) ([]KeyTable, error) {
	schemas, tables := make([]string, len(copies)), make([]string, len(copies))
	for n, name := range copies {
		schemas[n], tables[n] = name.Schema, name.Table
	}
	return list[KeyTable](ctx, i, "tables with keys", keyTablesSQL, schemas, tables)
}

// View is one over tables with keys, or over another such view.
type View struct {
	Relation
	Materialized bool
	Invoker      bool    // it has its reader's rights, not its owner's
	Definition   string  // as SQL
	Tree         string  // as the catalogue keeps it
	From         []int64 // of what it reads, with
	FromColumns  []int16 // the columns that it names there; 0 where it names none
}

const viewsSQL = `,
  reads as (select distinct w.ev_class as view, d.refobjid as relation, d.refobjsubid as number from pg_catalog.pg_rewrite w
              join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_catalog.pg_class'::regclass
             where w.ev_type = '1' and d.refobjid <> w.ev_class),
  above as (select v.oid from unnest($5::int8[]) as v (oid) union select reads.view::int8 from above join reads on reads.relation::int8 = above.oid)
select c.oid::int8 as oid, format('%I.%I', n.nspname, c.relname) as name, c.relkind = 'm' as materialized,
       exists (select from unnest(c.reloptions) as o where o ~* '^security_invoker=(true|on|yes|1)$') as invoker,
       pg_get_viewdef(c.oid) as definition, w.ev_action::text as tree,
       array(select relation::int8 from reads where view = c.oid order by relation, number) as "from",
       array(select number::int2 from reads where view = c.oid order by relation, number) as from_columns,` + columnsSQL + `
  from above a join pg_catalog.pg_class c on c.oid = a.oid::oid and c.relkind in ('v', 'm')
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace join pg_catalog.pg_rewrite w on w.ev_class = c.oid and w.ev_type = '1'
 order by name`

// Views lists all over the tables, at any depth.
func (i *Inspector) Views(ctx context.Context, tables []int64) ([]View, error) {
	return list[View](ctx, i, "views", viewsSQL, tables)
}
