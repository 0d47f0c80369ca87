-- The keys of users whose sessions are given different ones: the profile has the widest, these are the others. Safe to apply
-- any number of times.
-- Beside it runs: every version; one that does not know these keys hands none of them out, leaves them alive until they end, as each stands among the retired keys, too, and ends them with all others of a user who leaves or whose keys are revoked.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

-- The existence check also lets a role without the rights to create apply this again.
do $$
declare
  api_role text;
begin
  if pg_catalog.to_regclass('coderhook.keys') is null then
    create table coderhook.keys (
      user_id              uuid not null references coderhook.accounts (user_id) on delete cascade,
      key_set              text not null,             -- names what it was made with, and whether tokens are to carry it
      key_grant            text not null,             -- what it was made with by a rule; '': as all are
      key_id               text not null unique references coderhook.retired_keys (key_id) on delete cascade, -- whoever ends it in Coder deletes that row
      api_key              text not null,
      coder_user_id        uuid not null,             -- another than the account's: it is dead
      unseen               boolean not null,          -- no token has carried it
      key_expires_at       timestamptz not null,
      key_lifetime_seconds bigint,
      key_checked_at       timestamptz,
      primary key (user_id, key_set)
    );
    alter table coderhook.keys enable row level security;
    revoke all on coderhook.keys from public;
    create policy coderhook_keys on coderhook.keys to coderhook using (true) with check (true);
  end if;

  for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute pg_catalog.format('revoke all on coderhook.keys from %I', api_role);
  end loop;
end
$$;

grant select, insert, update, delete on coderhook.keys to coderhook;
