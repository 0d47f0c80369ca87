-- Who has an e-mail address, for `coderhook explain`: an operator knows the address, the ledger only ids.
-- Safe to apply any number of times.
-- Beside it runs: every version.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

do $$
declare
  api_role text;
begin
  -- Made anew each time, as what stands there may be of an older version, unless it is not ours to change.
  if exists (select from pg_catalog.pg_proc where oid = pg_catalog.to_regprocedure('coderhook.auth_user_ids(text)')::oid
             and not pg_catalog.pg_has_role(proowner, 'usage')) then
    return;
  end if;

  -- Late binding, as in auth_users_state: the table need not exist by now.
  create or replace function coderhook.auth_user_ids(address text)
    returns table (id uuid)
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp set row_security = off
  as $body$
  begin
    return query select u.id from auth.users u where lower(u.email::text) = lower(address);
  end
  $body$;

  revoke all on function coderhook.auth_user_ids(text) from public;
  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute pg_catalog.format('revoke all on function coderhook.auth_user_ids(text) from %I', api_role);
  end loop;
end
$$;

grant execute on function coderhook.auth_user_ids(text) to coderhook;
