-- Who leaves, as it happens: triggers on auth.users write down deletions, bans and soft deletions, and
-- their end, for the server to take up. Safe to apply any number of times. `coderhook migrate --no-trigger`
-- leaves the triggers out, or drops them, by the setting coderhook.departures_trigger = off.
-- Beside it runs: every version.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

-- The existence checks also let a role without the rights to create apply this again.
do $$
declare
  api_role text;
  users    oid := (select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                    where n.nspname = 'auth' and c.relname = 'users' and c.relkind in ('r', 'p'));
  patience text := pg_catalog.current_setting('lock_timeout');
  wanted   boolean := coalesce(pg_catalog.current_setting('coderhook.departures_trigger', true), '') <> 'off';
begin
  if pg_catalog.to_regclass('coderhook.departures') is null then
    -- Nothing that a statement on auth.users could run into: no foreign key, nothing unique but the id.
    -- A row stays until it is done; that of a deletion stays for another hour, so that a token which was
    -- being minted meanwhile gets no key.
    create table coderhook.departures (
      id         bigint generated always as identity primary key,
      user_id    uuid not null,
      what       text not null,  -- deleted; changed: banned, soft-deleted, or no longer; stop: workspaces have to be stopped
      at         timestamptz not null default pg_catalog.clock_timestamp(),
      next_try   timestamptz not null default pg_catalog.clock_timestamp(),
      tries      integer not null default 0,
      last_error text,
      done_at    timestamptz
    ) with (vacuum_truncate = false); -- which would lock the trigger out for a moment
    create index departures_next_try_idx on coderhook.departures (next_try, id) where done_at is null;
    create index departures_user_id_idx on coderhook.departures (user_id);
    create index departures_done_at_idx on coderhook.departures (done_at) where done_at is not null;
    revoke all on coderhook.departures from public;
  end if;

  -- With their function go the triggers: only the owner of auth.users may drop them by themselves.
  if not wanted and exists (select from pg_catalog.pg_trigger
                             where tgrelid = users and tgfoid = pg_catalog.to_regprocedure('coderhook.user_changed()')::oid) then
    perform pg_catalog.set_config('lock_timeout', '4s', true);
    drop function coderhook.user_changed() cascade;
  end if;

  if pg_catalog.to_regprocedure('coderhook.user_changed()') is null then
    -- It must neither fail nor hold up the statement that fired it: whatever goes wrong is left to the server's
    -- scan. While somebody keeps the table locked, a transaction waits once, for a fifth of a second. Columns
    -- are read by name from JSON, so that none must exist, and none is kept from being altered.
    create function coderhook.user_changed() returns trigger
      language plpgsql security definer
      set search_path = pg_catalog, pg_temp set lock_timeout = '200ms'
    as $body$
    begin
      if pg_catalog.current_setting('coderhook.departure_missed', true) = 'yes' then
        return null;
      end if;
      if tg_op = 'DELETE' then
        insert into coderhook.departures (user_id, what)
        select o.id, 'deleted' from old_users o
         where pg_catalog.to_jsonb(o) ->> 'is_anonymous' is distinct from 'true'; -- who is has never had a key
      else
        insert into coderhook.departures (user_id, what)
        select o.id, case when n.id is null then 'deleted' else 'changed' end
          from old_users o left join new_users n on n.id = o.id
         where n.id is null
            or pg_catalog.to_jsonb(o) ->> 'banned_until' is distinct from pg_catalog.to_jsonb(n) ->> 'banned_until'
            or pg_catalog.to_jsonb(o) ->> 'deleted_at' is distinct from pg_catalog.to_jsonb(n) ->> 'deleted_at';
      end if;
      return null;
    exception when others then
      perform pg_catalog.set_config('coderhook.departure_missed', 'yes', true);
      return null;
    end
    $body$;
    revoke all on function coderhook.user_changed() from public;
    for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
      execute pg_catalog.format('revoke all on function coderhook.user_changed() from %I', api_role);
    end loop;
  end if;

  if wanted and users is not null and not exists (
       select from pg_catalog.pg_trigger where tgrelid = users and tgfoid = pg_catalog.to_regprocedure('coderhook.user_changed()')::oid) then
    if pg_catalog.has_schema_privilege((select relnamespace from pg_catalog.pg_class where oid = users), 'usage')
       and pg_catalog.has_table_privilege(users, 'trigger')
       and pg_catalog.has_function_privilege(pg_catalog.to_regprocedure('coderhook.user_changed()'), 'execute') then
      -- Sign-ins must not queue behind us for long, should one of them hold the table.
      perform pg_catalog.set_config('lock_timeout', '4s', true);
      create trigger coderhook_user_deleted after delete on auth.users
        referencing old table as old_users for each statement execute function coderhook.user_changed();
      create trigger coderhook_user_changed after update on auth.users
        referencing old table as old_users new table as new_users for each statement execute function coderhook.user_changed();
    else
      raise notice '% may not create triggers on auth.users: the server looks for who left every 30 seconds', current_user;
    end if;
  end if;
  perform pg_catalog.set_config('lock_timeout', patience, true);

  -- The users for whom auth.users and the ledger disagree. Each part reads through both tables at most, so that it
  -- is cheap enough to ask for all of them now and then.
  if pg_catalog.to_regprocedure('coderhook.users_at_odds(integer)') is null then
    create function coderhook.users_at_odds(most integer)
      returns table (accounts bigint, missing bigint, missing_ids uuid[], other_ids uuid[])
      language plpgsql stable security definer
      set search_path = pg_catalog, pg_temp set row_security = off
    as $body$
    begin
      select pg_catalog.count(*) into accounts from coderhook.accounts a where a.status <> 'offboarded';
      with gone as materialized (
        select a.user_id from coderhook.accounts a
         where a.status <> 'offboarded' and not exists (select from auth.users u where u.id = a.user_id))
      select pg_catalog.count(*), array(select user_id from gone limit most) into missing, missing_ids from gone;
      begin
        select array(
          select a.user_id from auth.users u join coderhook.accounts a on a.user_id = u.id
           where (u.deleted_at is not null or u.banned_until > pg_catalog.now()) and a.status <> 'offboarded'
          union all
          select a.user_id from coderhook.accounts a join auth.users u on u.id = a.user_id
           where (a.status = 'offboarded' or a.suspended_by_us)
             and u.deleted_at is null and (u.banned_until is null or u.banned_until <= pg_catalog.now())
          limit most) into other_ids;
      exception when undefined_column then -- an old Supabase Auth bans nobody
        select array(
          select a.user_id from coderhook.accounts a join auth.users u on u.id = a.user_id
           where a.status = 'offboarded' or a.suspended_by_us
          limit most) into other_ids;
      end;
      return next;
    end
    $body$;
    revoke all on function coderhook.users_at_odds(integer) from public;
    for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
      execute pg_catalog.format('revoke all on function coderhook.users_at_odds(integer) from %I', api_role);
    end loop;
  end if;

  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute pg_catalog.format('revoke all on coderhook.departures from %I', api_role);
  end loop;
end
$$;

grant select, insert, update, delete on coderhook.departures to coderhook;
grant execute on function coderhook.users_at_odds(integer) to coderhook;
