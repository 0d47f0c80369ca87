-- The hook as a function in the database, as Supabase's guide writes it: the key has to be there already.
create function public.custom_access_token_hook(event jsonb) returns jsonb
language plpgsql stable as $$
declare
  claims jsonb := event -> 'claims';
  key    text;
begin
  select p.api_key into key
    from public.profiles as p
    join coderhook.accounts as a on a.user_id = p.id
   where p.id = (event ->> 'user_id')::uuid and a.key_expires_at > now();
  claims := jsonb_set(claims, '{app_metadata,api_key}', to_jsonb(key));
  return jsonb_set(event, '{claims}', claims);
end
$$;

grant usage on schema public to supabase_auth_admin;
grant execute on function public.custom_access_token_hook to supabase_auth_admin;
revoke execute on function public.custom_access_token_hook from authenticated, anon, public;

grant select on table public.profiles to supabase_auth_admin;
grant usage on schema coderhook to supabase_auth_admin;
grant select on table coderhook.accounts to supabase_auth_admin;
create policy "Auth reads keys" on public.profiles for select to supabase_auth_admin using (true);
