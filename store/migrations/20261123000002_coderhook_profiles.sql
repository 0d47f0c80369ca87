-- The product's table with the key of each user, and what the role coderhook may do there.
-- Safe to apply any number of times. `coderhook migrate` names another table or other columns
-- with the three settings below; without them it is public.profiles (id, api_key).
-- Beside it runs: every version.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

do $$
declare
  target     text := coalesce(nullif(pg_catalog.current_setting('coderhook.profiles_table', true), ''), 'public.profiles');
  id_column  text := coalesce(nullif(pg_catalog.current_setting('coderhook.profiles_id_column', true), ''), 'id');
  key_column text := coalesce(nullif(pg_catalog.current_setting('coderhook.profiles_key_column', true), ''), 'api_key');
  in_schema  text := pg_catalog.split_part(target, '.', 1);
  profiles   text := pg_catalog.format('%I.%I', in_schema, pg_catalog.split_part(target, '.', 2));
  api_role   text;
  type_found text;
begin
  if pg_catalog.to_regclass(profiles) is null and target <> 'public.profiles' then
    raise undefined_table using
      message = pg_catalog.format('table %s does not exist', profiles),
      hint = 'PROFILES_TABLE names a table of yours; only public.profiles is created by coderhook.';
  end if;

  if pg_catalog.to_regclass(profiles) is null then
    execute pg_catalog.format('create table %s (%I uuid primary key, %I text)', profiles, id_column, key_column);
    if pg_catalog.to_regclass('auth.users') is not null then
      execute pg_catalog.format('alter table %s add foreign key (%I) references auth.users (id) on delete cascade',
        profiles, id_column);
    end if;
    execute pg_catalog.format('alter table %s enable row level security', profiles);

    -- Supabase grants everything on a new table to its API roles: they get back the id, of their own row.
    for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated') loop
      execute pg_catalog.format('revoke all on %s from %I', profiles, api_role);
    end loop;
    if exists (select from pg_catalog.pg_roles where rolname = 'authenticated') then
      execute pg_catalog.format('grant select (%I) on %s to authenticated', id_column, profiles);
      if pg_catalog.to_regprocedure('auth.uid()') is not null then
        execute pg_catalog.format('create policy coderhook_own_row on %s for select to authenticated using ((select auth.uid()) = %I)',
          profiles, id_column);
      end if;
    end if;
  end if;

  if not exists (select from pg_catalog.pg_attribute
                 where attrelid = pg_catalog.to_regclass(profiles)::oid and attname = key_column and not attisdropped) then
    execute pg_catalog.format('alter table %s add column %I text', profiles, key_column);
  end if;

  select pg_catalog.format_type(atttypid, null) into type_found from pg_catalog.pg_attribute
    where attrelid = pg_catalog.to_regclass(profiles)::oid and attname = id_column and not attisdropped;
  if type_found is distinct from 'uuid' then
    raise datatype_mismatch using
      message = pg_catalog.format('column %I of table %s is %s, not the uuid of the user',
        id_column, profiles, coalesce(type_found, 'missing')),
      hint = 'PROFILES_ID_COLUMN names the column with the id from auth.users.';
  end if;

  if not pg_catalog.has_schema_privilege('coderhook', in_schema, 'usage') then
    execute pg_catalog.format('grant usage on schema %I to coderhook', in_schema);
  end if;
  execute pg_catalog.format('grant select (%1$I, %2$I), insert (%1$I, %2$I), update (%2$I) on %3$s to coderhook',
    id_column, key_column, profiles);

  -- The role does not bypass row level security: these are its own way in, whatever policies the product has.
  if not exists (select from pg_catalog.pg_policy where polrelid = pg_catalog.to_regclass(profiles)::oid and polname = 'coderhook_select') then
    execute pg_catalog.format('create policy coderhook_select on %s for select to coderhook using (true)', profiles);
  end if;
  if not exists (select from pg_catalog.pg_policy where polrelid = pg_catalog.to_regclass(profiles)::oid and polname = 'coderhook_insert') then
    execute pg_catalog.format('create policy coderhook_insert on %s for insert to coderhook with check (true)', profiles);
  end if;
  if not exists (select from pg_catalog.pg_policy where polrelid = pg_catalog.to_regclass(profiles)::oid and polname = 'coderhook_update') then
    execute pg_catalog.format('create policy coderhook_update on %s for update to coderhook using (true) with check (true)', profiles);
  end if;
end
$$;
