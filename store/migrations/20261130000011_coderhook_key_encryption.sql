-- Which encryption keys have written into the profiles: a value of one that a replica does not have was not planted, and
-- is left alone. There are no keys here, only their ids. Safe to apply any number of times.
-- Beside it runs: every version; one from before it takes encrypted keys for missing ones, and makes new ones.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

-- The existence check also lets a role without the rights to create apply this again.
do $$
declare
  api_role text;
begin
  if pg_catalog.to_regclass('coderhook.encryption_keys') is null then
    create table coderhook.encryption_keys (
      id         text primary key,
      first_used timestamptz not null default pg_catalog.clock_timestamp()
    );
    revoke all on coderhook.encryption_keys from public;
  end if;

  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute pg_catalog.format('revoke all on coderhook.encryption_keys from %I', api_role);
  end loop;
end
$$;

grant select, insert, update, delete on coderhook.encryption_keys to coderhook;
