-- Who has an e-mail address, and who may sign in, by indexes: without them each question, and each page, reads through all
-- users. Safe to apply any number of times.
-- Beside it runs: every version.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

do $$
begin
  -- Made anew each time, as what stands there may be of an older version, unless it is not ours to change.
  if exists (select from pg_catalog.pg_proc
              where oid in (pg_catalog.to_regprocedure('coderhook.auth_user_ids(text)')::oid,
                            pg_catalog.to_regprocedure('coderhook.auth_living_users(uuid, integer)')::oid)
                and not pg_catalog.pg_has_role(proowner, 'usage')) then
    return;
  end if;

  -- Supabase Auth's index of addresses begins with the instance. The three parts are all users: no uuid is smaller than
  -- that of the only instance there is. Late binding, as in auth_users_state.
  create or replace function coderhook.auth_user_ids(address text)
    returns table (id uuid)
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp set row_security = off
  as $body$
  begin
    return query
      select u.id from auth.users u where u.instance_id = '00000000-0000-0000-0000-000000000000' and lower(u.email::text) = lower(address)
      union all
      select u.id from auth.users u where u.instance_id is null and lower(u.email::text) = lower(address)
      union all
      select u.id from auth.users u where u.instance_id > '00000000-0000-0000-0000-000000000000' and lower(u.email::text) = lower(address);
  exception when undefined_column then -- not Supabase's own table
    return query select u.id from auth.users u where lower(u.email::text) = lower(address);
  end
  $body$;

  -- Nobody can tell the planner that nearly all users are there: it would sort them all for each page.
  create or replace function coderhook.auth_living_users(after uuid, size integer)
    returns setof uuid
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp set row_security = off set enable_seqscan = off set enable_bitmapscan = off
  as $body$
  begin
    return query
      select u.id from auth.users u
       where u.id > after and to_jsonb(u) ->> 'deleted_at' is null
         and coalesce((to_jsonb(u) ->> 'banned_until')::timestamptz <= clock_timestamp(), true)
       order by u.id limit size;
  end
  $body$;
end
$$;
