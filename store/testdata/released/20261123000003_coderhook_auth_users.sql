-- What reconciling must know of auth.users, and nothing else of that table.
-- Supabase's roles cannot grant on it, so the role coderhook asks through this function.
-- Safe to apply any number of times.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

do $$
declare
  api_role text;
begin
  -- Made anew each time, as what stands there may be of an older version, unless it is not ours to change.
  if exists (select from pg_catalog.pg_proc where oid = pg_catalog.to_regprocedure('coderhook.auth_users_state(uuid[])')::oid
             and not pg_catalog.pg_has_role(proowner, 'usage')) then
    return;
  end if;

  -- Columns are read by name from JSON, so that neither the table nor the columns must exist by now.
  -- row_security = off: where the policies of auth.users would hide rows from the owner of this
  -- function, the query fails, instead of reporting users as gone who are there.
  create or replace function coderhook.auth_users_state(ids uuid[])
    returns table (id uuid, present boolean, banned_until timestamptz, deleted_at timestamptz)
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp set row_security = off
  as $body$
  begin
    return query
      select asked.id, found.id is not null,
             (found.fields ->> 'banned_until')::timestamptz, (found.fields ->> 'deleted_at')::timestamptz
        from unnest(ids) as asked (id)
        left join lateral (
          select u.id, to_jsonb(u) as fields from auth.users u where u.id = asked.id
        ) as found on true;
  exception when insufficient_privilege then
    raise insufficient_privilege using
      message = pg_catalog.format('%s may not read all of auth.users', current_user),
      hint = pg_catalog.format('It owns coderhook.auth_users_state. As a superuser: grant usage on schema auth to %1$I; '
        'grant select on auth.users to %1$I; alter role %1$I bypassrls;', current_user);
  end
  $body$;

  revoke all on function coderhook.auth_users_state(uuid[]) from public;
  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute pg_catalog.format('revoke all on function coderhook.auth_users_state(uuid[]) from %I', api_role);
  end loop;
end
$$;

grant execute on function coderhook.auth_users_state(uuid[]) to coderhook;
