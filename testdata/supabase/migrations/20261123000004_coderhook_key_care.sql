-- What looking after keys has to remember. Safe to apply any number of times.
-- Beside it runs: every version.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

-- The existence checks also let a role without the rights to alter apply this again.
do $$
declare
  api_role text;
begin
  if not exists (select from pg_catalog.pg_attribute
                 where attrelid = pg_catalog.to_regclass('coderhook.accounts')::oid and attname = 'key_refused_at') then
    alter table coderhook.accounts
      add column key_lifetime_seconds bigint,      -- of the key, as Coder says: a third of it is the renewal window
      add column key_checked_at       timestamptz, -- when Coder was last asked whether it takes the key
      add column key_refused_at       timestamptz, -- Coder does not take it, or it is not this user's
      add column token_seconds        bigint,      -- the longest life of an access token that was given a key
      add column linked               boolean not null default false, -- the Coder user was not made by coderhook
      add column suspended_by_us      boolean not null default false; -- so that we may activate it again
  end if;

  -- Keys that were replaced. Each lives on until no access token can carry it any more.
  if pg_catalog.to_regclass('coderhook.retired_keys') is null then
    create table coderhook.retired_keys (
      key_id        text primary key,
      user_id       uuid not null,
      coder_user_id uuid not null,
      delete_after  timestamptz not null
    );
    create index retired_keys_user_id_idx on coderhook.retired_keys (user_id, delete_after);
    revoke all on coderhook.retired_keys from public;
  end if;

  -- Work that one replica at a time does.
  if pg_catalog.to_regclass('coderhook.tasks') is null then
    create table coderhook.tasks (
      name        text primary key,
      lease_owner text,
      lease_until timestamptz,
      finished_at timestamptz
    );
    revoke all on coderhook.tasks from public;
  end if;

  -- What operators decided.
  if pg_catalog.to_regclass('coderhook.audit') is null then
    create table coderhook.audit (
      at            timestamptz not null default pg_catalog.clock_timestamp(),
      actor         text not null,
      action        text not null,
      user_id       uuid not null,
      coder_user_id uuid not null,
      detail        text not null
    );
    revoke all on coderhook.audit from public;
  end if;

  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute pg_catalog.format('revoke all on coderhook.retired_keys, coderhook.tasks, coderhook.audit from %I', api_role);
  end loop;
end
$$;

grant select, insert, update, delete on coderhook.retired_keys, coderhook.tasks to coderhook;
grant select, insert on coderhook.audit to coderhook;
