-- The audit trail: what was done about accounts and keys, by whom, and why. Safe to apply any number of times.
-- Beside it runs: every version.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

-- The existence checks also let a role without the rights to alter apply this again.
do $$
declare
  api_role text;
begin
  if not exists (select from pg_catalog.pg_attribute
                 where attrelid = pg_catalog.to_regclass('coderhook.audit')::oid and attname = 'key_id') then
    alter table coderhook.audit
      add column id     bigint generated always as identity primary key,
      add column key_id text, -- its public part
      alter column coder_user_id drop not null;
    create index audit_user_id_idx on coderhook.audit (user_id, id);
    create index audit_at_idx on coderhook.audit (at);
  end if;

  -- How far a run has come that goes on where it was broken off.
  if not exists (select from pg_catalog.pg_attribute
                 where attrelid = pg_catalog.to_regclass('coderhook.tasks')::oid and attname = 'started_at') then
    alter table coderhook.tasks
      add column started_at timestamptz,
      add column reached    uuid;
  end if;

  if pg_catalog.to_regprocedure('coderhook.prune_audit(interval)') is null then
    -- The server may not delete rows: whoever has its password could not wipe out their traces of the last week.
    create function coderhook.prune_audit(keep interval)
      returns bigint
      language sql volatile security definer
      set search_path = pg_catalog, pg_temp
    as $body$
      with old as (
        delete from coderhook.audit
         where id in (select id from coderhook.audit
                       where at < pg_catalog.clock_timestamp() - greatest(keep, interval '7 days')
                       order by at limit 10000)
        returning 1)
      select pg_catalog.count(*) from old
    $body$;
    revoke all on function coderhook.prune_audit(interval) from public;
    for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
      execute pg_catalog.format('revoke all on function coderhook.prune_audit(interval) from %I', api_role);
    end loop;
  end if;
end
$$;

grant execute on function coderhook.prune_audit(interval) to coderhook;
