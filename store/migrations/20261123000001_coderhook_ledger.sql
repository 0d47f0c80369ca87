-- The ledger of coderhook: which Coder account and key belong to which Supabase user.
-- Safe to apply any number of times, by `coderhook migrate` or `supabase db push`.
-- Beside it runs: every version.

-- Two appliers of this file take turns; the lock ends with the transaction.
select pg_catalog.pg_advisory_xact_lock(20261123000001);

-- The operator lets it log in: alter role coderhook login password '…';
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'coderhook') then
    create role coderhook nologin;
  end if;
exception
  -- Roles belong to the cluster: a migration of another of its databases was faster.
  when duplicate_object or unique_violation then null;
end
$$;

-- The existence checks also let a role without the rights to create apply this again.
do $$
begin
  if pg_catalog.to_regnamespace('coderhook') is null then
    create schema coderhook;
  end if;

  if pg_catalog.to_regclass('coderhook.accounts') is null then
    -- No foreign key: a row must outlive its user, and must take no locks on Supabase's rows.
    -- The key itself is not here; key_id is its public part.
    create table coderhook.accounts (
      user_id        uuid primary key,
      coder_user_id  uuid,
      coder_username text,
      status         text not null default 'pending' constraint accounts_status_check
                       check (status in ('pending', 'active', 'conflict', 'suspended', 'orphaned', 'offboarded')),
      key_id         text,
      key_expires_at timestamptz,
      lease_until    timestamptz,
      lease_owner    text,
      last_error     text,
      created_at     timestamptz not null default pg_catalog.clock_timestamp(),
      updated_at     timestamptz not null default pg_catalog.clock_timestamp()
    ) with (fillfactor = 80); -- room for a lease to be renewed without touching an index

    -- One Coder user belongs to one Supabase user.
    create unique index accounts_coder_user_id_key
      on coderhook.accounts (coder_user_id) where coder_user_id is not null;
    -- Reconciling walks through the keys of a status in the order in which they end.
    create index accounts_status_key_expires_at_idx
      on coderhook.accounts (status, key_expires_at);
  end if;
end
$$;

revoke all on schema coderhook from public;
revoke all on coderhook.accounts from public;

do $$
declare
  api_role text;
begin
  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated') loop
    execute pg_catalog.format('revoke all on schema coderhook from %I', api_role);
    execute pg_catalog.format('revoke all on coderhook.accounts from %I', api_role);
  end loop;
end
$$;

grant usage on schema coderhook to coderhook;
grant select, insert, update, delete on coderhook.accounts to coderhook;
