package pgserver

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ProductAdmin is what the role postgres is in a Supabase project: no superuser,
// but the owner of what the product makes. It is whom `supabase db push` is.
const ProductAdmin = "product_admin"

// SupabaseSQL makes a database look like a new Supabase project, as far as
// coderhook and its migrations can tell. It needs a superuser.
const SupabaseSQL = `
-- Roles belong to the cluster: databases that are prepared at once take turns.
do $$
declare
  statement text;
begin
  foreach statement in array array[
    'create role anon nologin noinherit',
    'create role authenticated nologin noinherit',
    'create role service_role nologin noinherit bypassrls',
    'create role authenticator login noinherit',
    'create role supabase_auth_admin login noinherit createrole',
    'create role product_admin login createdb createrole replication bypassrls'
  ] loop
    begin
      execute statement;
    exception when duplicate_object or unique_violation then null;
    end;
  end loop;
end
$$;

do $$ begin execute format('grant create on database %I to product_admin', current_database()); end $$;

grant usage on schema public to anon, authenticated, service_role;
grant all on schema public to product_admin;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges for role product_admin in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges for role product_admin in schema public grant all on functions to anon, authenticated, service_role;

create schema auth authorization supabase_auth_admin;
grant usage on schema auth to anon, authenticated, service_role, product_admin;

create table auth.users (
  id                 uuid primary key,
  aud                varchar(255),
  role               varchar(255),
  email              varchar(255) unique,
  encrypted_password varchar(255),
  email_confirmed_at timestamptz,
  phone              text unique,
  raw_app_meta_data  jsonb,
  raw_user_meta_data jsonb,
  created_at         timestamptz default now(),
  updated_at         timestamptz default now(),
  last_sign_in_at    timestamptz,
  banned_until       timestamptz,
  deleted_at         timestamptz,
  is_sso_user        boolean not null default false,
  is_anonymous       boolean not null default false
);
alter table auth.users owner to supabase_auth_admin;
alter table auth.users enable row level security;
grant select, references, trigger on auth.users to product_admin;

create table auth.sessions (
  id         uuid primary key,
  user_id    uuid not null references auth.users (id) on delete cascade,
  created_at timestamptz default now(),
  aal        text,
  not_after  timestamptz
);
alter table auth.sessions owner to supabase_auth_admin;
alter table auth.sessions enable row level security;
grant select, references, trigger on auth.sessions to product_admin;

create function auth.uid() returns uuid language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
  )::uuid
$$;
alter function auth.uid() owner to supabase_auth_admin;
grant execute on function auth.uid() to public;
`

// NewUserTriggerSQL gives every new user a profile, in the user's own
// transaction, as Supabase's guides show it.
const NewUserTriggerSQL = `
create function public.handle_new_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.profiles (id) values (new.id);
  return new;
end
$$;
create trigger on_auth_user_created after insert on auth.users
  for each row execute function public.handle_new_user();
`

// SyncUserTriggerSQL copies a changed e-mail to the profile, so that a sign-in,
// which writes to auth.users, locks the profile too.
const SyncUserTriggerSQL = `
alter table public.profiles add column if not exists email text;
create function public.handle_user_update() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.profiles set email = new.email where id = new.id;
  return new;
end
$$;
create trigger on_auth_user_updated after update on auth.users
  for each row execute function public.handle_user_update();
`

// PrepareSupabase applies [SupabaseSQL] to the database of url.
func PrepareSupabase(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("prepare Supabase database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.PgConn().Exec(ctx, SupabaseSQL).ReadAll(); err != nil {
		return fmt.Errorf("prepare Supabase database: %w", err)
	}
	return nil
}
