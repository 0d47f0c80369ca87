package store

import "context"

// Realtime is what of the keys goes through Supabase Realtime.
type Realtime struct {
	Published     bool     // changes of the key's column are
	Directly      bool     // because the publication names the table
	Subscriptions []string // API roles that may read realtime.subscription, which holds the claims of all listeners
}

// The view has attnames since Postgres 15.
const realtimeSQL = `,
  subscription as (select c.oid, n.oid as in_schema from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                    where n.nspname = 'realtime' and c.relname = 'subscription')
select exists (select from pg_catalog.pg_publication_tables t, named where t.pubname = 'supabase_realtime' and t.schemaname = in_schema
                  and t.tablename = in_table and coalesce(to_jsonb(t) -> 'attnames' ? key_column, true)) as published,
       exists (select from pg_catalog.pg_publication_rel r join pg_catalog.pg_publication u on u.oid = r.prpubid, profiles p
                where u.pubname = 'supabase_realtime' and r.prrelid = p.oid) as directly,
       array(select r.name from api_roles r, subscription s where has_schema_privilege(r.oid, s.in_schema, 'usage')
                and has_any_column_privilege(r.oid, s.oid, 'select') order by 1) as subscriptions`

// Realtime looks at the publication and at Realtime's own table.
func (i *Inspector) Realtime(ctx context.Context) (Realtime, error) {
	return found[Realtime](ctx, i, "realtime", realtimeSQL)
}

// Trigger is one on auth.users whose function names the product's table.
type Trigger struct {
	Name, Function string
}

const triggersSQL = `
select t.tgname::text as name, f.proname::text as function
  from named, pg_catalog.pg_trigger t join pg_catalog.pg_proc f on f.oid = t.tgfoid
  join pg_catalog.pg_class c on c.oid = t.tgrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'auth' and c.relname = 'users' and not t.tgisinternal and strpos(f.prosrc, in_table) > 0
 order by 1`

// Triggers lists those that write the profile inside a sign-in's transaction.
func (i *Inspector) Triggers(ctx context.Context) ([]Trigger, error) {
	return list[Trigger](ctx, i, "triggers on auth.users", triggersSQL)
}
