package store

import "context"

// ReadOnly is why nothing can be written, if so.
type ReadOnly struct {
	ReadOnly bool
	Standby  bool
	Source   string // of the setting, in pg_settings' words
	Undo     string // SQL that takes the setting back, where that can be said
}

const readOnlySQL = `
select pg_catalog.current_setting('transaction_read_only') = 'on' as read_only,
       pg_catalog.pg_is_in_recovery() as standby, s.source,
       case s.source
         when 'database' then pg_catalog.format('begin read write; alter database %I reset default_transaction_read_only; commit;', pg_catalog.current_database())
         when 'user' then pg_catalog.format('begin read write; alter role %I reset default_transaction_read_only; commit;', session_user)
         when 'database user' then pg_catalog.format('begin read write; alter role %I in database %I reset default_transaction_read_only; commit;', session_user, pg_catalog.current_database())
         when 'global' then 'begin read write; alter role all reset default_transaction_read_only; commit;'
         else '' end as undo
  from pg_catalog.pg_settings s where s.name = 'default_transaction_read_only'`

// ReadOnly asks whether a transaction like the server's may write.
func (i *Inspector) ReadOnly(ctx context.Context) (ReadOnly, error) {
	return found[ReadOnly](ctx, i, "read-only state", readOnlySQL)
}
