-- Whom nobody has looked at for longest. Apart from the column, whose transaction keeps even readers out: this one takes
-- some seconds for a million accounts, and sign-ins go on. Safe to apply any number of times.
-- Beside it runs: every version.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

-- The existence check also lets a role without the rights to create apply this again.
do $$
begin
  if pg_catalog.to_regclass('coderhook.accounts_looked_at_idx') is null then
    create index accounts_looked_at_idx on coderhook.accounts (looked_at, user_id)
      where coder_user_id is not null and status <> 'offboarded';
  end if;
end
$$;
