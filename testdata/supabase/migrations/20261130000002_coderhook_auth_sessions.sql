-- Which sessions are not signed out, and nothing else of auth.sessions: what is open through the gateway ends with its
-- session. Safe to apply any number of times.
-- Beside it runs: every version.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

do $$
declare
  api_role text;
begin
  -- Made anew each time, as what stands there may be of an older version, unless it is not ours to change.
  if exists (select from pg_catalog.pg_proc where oid = pg_catalog.to_regprocedure('coderhook.auth_sessions_living(uuid[])')::oid
             and not pg_catalog.pg_has_role(proowner, 'usage')) then
    return;
  end if;

  -- Supabase Auth deletes the row at a sign-out. Late binding, as in auth_users_state: neither the table nor the column
  -- need exist by now. It returns null where that can't be known: there is no such table, or its owner may not read all
  -- of it. row_security = off: policies would hide rows, and a session be taken for ended that goes on.
  create or replace function coderhook.auth_sessions_living(ids uuid[])
    returns uuid[]
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp set row_security = off
  as $body$
  begin
    return array(select s.id from auth.sessions s
                  where s.id = any (ids) and coalesce((to_jsonb(s) ->> 'not_after')::timestamptz > now(), true));
  exception when undefined_table or invalid_schema_name or insufficient_privilege then
    return null;
  end
  $body$;

  revoke all on function coderhook.auth_sessions_living(uuid[]) from public;
  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute pg_catalog.format('revoke all on function coderhook.auth_sessions_living(uuid[]) from %I', api_role);
  end loop;
end
$$;

grant execute on function coderhook.auth_sessions_living(uuid[]) to coderhook;
