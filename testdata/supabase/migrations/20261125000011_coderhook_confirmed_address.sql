-- Whether a user's address is confirmed, and nothing else of auth.users: with CODER_LOGIN_TYPE=oidc or github a Coder
-- account belongs to whoever has its address. Safe to apply any number of times.
-- Beside it runs: every version.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

do $$
declare
  api_role text;
begin
  -- Made anew each time, as what stands there may be of an older version, unless it is not ours to change.
  if exists (select from pg_catalog.pg_proc where oid = pg_catalog.to_regprocedure('coderhook.auth_address_confirmed(uuid,text)')::oid
             and not pg_catalog.pg_has_role(proowner, 'usage')) then
    return;
  end if;

  -- Late binding, as in auth_users_state: neither the table nor the column need exist by now.
  create or replace function coderhook.auth_address_confirmed(user_id uuid, address text)
    returns boolean
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp set row_security = off
  as $body$
  begin
    return exists (select from auth.users u
                    where u.id = user_id and lower(u.email::text) = lower(address)
                      and to_jsonb(u) ->> 'email_confirmed_at' is not null);
  end
  $body$;

  revoke all on function coderhook.auth_address_confirmed(uuid, text) from public;
  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute pg_catalog.format('revoke all on function coderhook.auth_address_confirmed(uuid, text) from %I', api_role);
  end loop;
end
$$;

grant execute on function coderhook.auth_address_confirmed(uuid, text) to coderhook;
