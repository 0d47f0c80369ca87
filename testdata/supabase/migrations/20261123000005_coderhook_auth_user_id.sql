-- Who has an e-mail address, for `coderhook explain`: an operator knows the address, the ledger only ids.
-- Safe to apply any number of times.

select pg_advisory_xact_lock(20261123000001);

do $$
declare
  api_role text;
begin
  if to_regprocedure('coderhook.auth_user_ids(text)') is not null then
    return;
  end if;

  -- Late binding, as in auth_users_state: the table need not exist by now.
  create function coderhook.auth_user_ids(address text)
    returns table (id uuid)
    language plpgsql stable security definer
    set search_path = '' set row_security = off
  as $body$
  begin
    return query select u.id from auth.users u where lower(u.email::text) = lower(address);
  end
  $body$;

  revoke all on function coderhook.auth_user_ids(text) from public;
  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute format('revoke all on function coderhook.auth_user_ids(text) from %I', api_role);
  end loop;
end
$$;

grant execute on function coderhook.auth_user_ids(text) to coderhook;
