-- When Coder was last asked for an account's tokens, and when somebody last worked on it: where nothing has
-- happened since, it need not be asked again. And what a count of all accounts came to. Safe to apply any number of times.
-- Beside it runs: every version; one from before it says less of what it did, which the slow look at all accounts finds.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

-- The existence checks also let a role without the rights to alter apply this again.
do $$
begin
  if not exists (select from pg_catalog.pg_attribute
                 where attrelid = pg_catalog.to_regclass('coderhook.accounts')::oid and attname = 'looked_at') then
    -- The default is the time of now for the rows that are there, and does not rewrite them.
    alter table coderhook.accounts
      add column looked_at timestamptz not null default pg_catalog.now(),
      add column worked_at timestamptz; -- when somebody last began or ended to work on it; null: before there was this column
  end if;

  if not exists (select from pg_catalog.pg_attribute
                 where attrelid = pg_catalog.to_regclass('coderhook.tasks')::oid and attname = 'result') then
    alter table coderhook.tasks add column result jsonb; -- of the last time, where there is one to keep
  end if;
end
$$;
