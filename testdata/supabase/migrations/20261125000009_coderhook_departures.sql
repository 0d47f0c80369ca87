-- Who leaves, as it happens: triggers on auth.users write down deletions, bans and soft deletions, and
-- their end, for the server to take up. Safe to apply any number of times. `coderhook migrate --no-trigger`
-- leaves the triggers out, or drops them, by the setting coderhook.departures_trigger = off.

select pg_advisory_xact_lock(20261123000001);

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
                             where tgrelid = users and tgfoid = pg_catalog.to_regprocedure('coderhook.user_changed()')) then
    perform pg_catalog.set_config('lock_timeout', '4s', true);
    drop function coderhook.user_changed() cascade;
  end if;

  if pg_catalog.to_regprocedure('coderhook.user_changed()') is null then
    -- It must neither fail nor hold up the statement that fired it: whatever goes wrong is left to the server's
    -- scan. While somebody keeps the table locked, a transaction waits once, for a fifth of a second. Columns
    -- are read by name from JSON, so that none must exist, and none is kept from being altered.
    create function coderhook.user_changed() returns trigger
      language plpgsql security definer
      set search_path = '' set lock_timeout = '200ms'
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
       select from pg_catalog.pg_trigger where tgrelid = users and tgfoid = pg_catalog.to_regprocedure('coderhook.user_changed()')) then
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

  -- Of known users, those who may not sign in: cheap enough to ask for all of them now and then.
  if pg_catalog.to_regprocedure('coderhook.auth_users_left(uuid[])') is null then
    create function coderhook.auth_users_left(ids uuid[])
      returns table (id uuid, present boolean)
      language plpgsql stable security definer
      set search_path = '' set row_security = off
    as $body$
    begin
      return query
        select asked.id, u.id is not null
          from pg_catalog.unnest(ids) as asked (id) left join auth.users u on u.id = asked.id
         where u.id is null or u.deleted_at is not null or u.banned_until > pg_catalog.clock_timestamp();
    exception when undefined_column then -- an old one lacks them
      return query
        select s.id, s.present from coderhook.auth_users_state(ids) s
         where not s.present or s.deleted_at is not null or s.banned_until > pg_catalog.clock_timestamp();
    end
    $body$;
    revoke all on function coderhook.auth_users_left(uuid[]) from public;
    for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
      execute pg_catalog.format('revoke all on function coderhook.auth_users_left(uuid[]) from %I', api_role);
    end loop;
  end if;

  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute pg_catalog.format('revoke all on coderhook.departures from %I', api_role);
  end loop;
end
$$;

grant select, insert, update, delete on coderhook.departures to coderhook;
grant execute on function coderhook.auth_users_left(uuid[]) to coderhook;
