-- What rules about who gets a key look at, and what comes of them. Safe to apply any number of times.
-- Beside it runs: every version; one that does not know POLICY_FILE gives everybody a key.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

-- The existence checks also let a role without the rights to alter apply this again.
do $$
declare
  api_role text;
begin
  if not exists (select from pg_catalog.pg_attribute
                 where attrelid = pg_catalog.to_regclass('coderhook.accounts')::oid and attname = 'ineligible_since') then
    alter table coderhook.accounts
      add column ineligible_since timestamptz, -- since when no rule gives this user a key, in whatever session
      add column key_grant        text;        -- the key's id, and what it was made with by a rule; null: it was made as all are
  end if;

  -- As before, but whom no rule gives a key is off-boarded although they are there, and is no more at odds for it.
  if pg_catalog.pg_has_role((select proowner from pg_catalog.pg_proc
                              where oid = pg_catalog.to_regprocedure('coderhook.users_at_odds(integer)')::oid), 'usage') then
    create or replace function coderhook.users_at_odds(most integer)
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
           where (a.status = 'offboarded' or a.suspended_by_us) and a.ineligible_since is null
             and u.deleted_at is null and (u.banned_until is null or u.banned_until <= pg_catalog.now())
          limit most) into other_ids;
      exception when undefined_column then -- an old Supabase Auth bans nobody
        select array(
          select a.user_id from coderhook.accounts a join auth.users u on u.id = a.user_id
           where (a.status = 'offboarded' or a.suspended_by_us) and a.ineligible_since is null
          limit most) into other_ids;
      end;
      return next;
    end
    $body$;
  end if;

  -- Both are made anew each time, as what stands there may be of an older version, unless they are not ours to change.
  if exists (select from pg_catalog.pg_proc where oid = pg_catalog.to_regprocedure('coderhook.auth_user_facts(uuid[])')::oid
             and not pg_catalog.pg_has_role(proowner, 'usage')) then
    return;
  end if;

  -- The claims are those that Supabase Auth puts into every token of the user. Late binding, as in auth_users_state.
  create or replace function coderhook.auth_user_facts(ids uuid[])
    returns table (id uuid, present boolean, confirmed_email text, created timestamptz, claims jsonb)
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp set row_security = off
  as $body$
  begin
    return query
      select asked.id, found.id is not null,
             case when found.fields ->> 'email_confirmed_at' is not null then lower(found.fields ->> 'email') end,
             (found.fields ->> 'created_at')::timestamptz,
             case when found.id is not null then jsonb_build_object(
               'sub', found.id, 'aud', found.fields ->> 'aud', 'role', found.fields ->> 'role',
               'email', coalesce(found.fields ->> 'email', ''), 'phone', coalesce(found.fields ->> 'phone', ''),
               'app_metadata', coalesce(nullif(found.fields -> 'raw_app_meta_data', 'null'), '{}'),
               'user_metadata', coalesce(nullif(found.fields -> 'raw_user_meta_data', 'null'), '{}'),
               'is_anonymous', coalesce((found.fields ->> 'is_anonymous')::boolean, false)) end
        from unnest(ids) as asked (id)
        left join lateral (
          select u.id, to_jsonb(u) as fields from auth.users u where u.id = asked.id
        ) as found on true;
  end
  $body$;

  -- Who may sign in, page by page.
  create or replace function coderhook.auth_living_users(after uuid, size integer)
    returns setof uuid
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp set row_security = off
  as $body$
  begin
    return query
      select u.id from auth.users u
       where u.id > after and to_jsonb(u) ->> 'deleted_at' is null
         and coalesce((to_jsonb(u) ->> 'banned_until')::timestamptz <= clock_timestamp(), true)
       order by u.id limit size;
  end
  $body$;

  revoke all on function coderhook.auth_user_facts(uuid[]), coderhook.auth_living_users(uuid, integer) from public;
  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute pg_catalog.format('revoke all on function coderhook.auth_user_facts(uuid[]), coderhook.auth_living_users(uuid, integer) from %I', api_role);
  end loop;
end
$$;

grant execute on function coderhook.auth_user_facts(uuid[]), coderhook.auth_living_users(uuid, integer) to coderhook;
