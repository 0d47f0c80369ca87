-- Seals show that the server wrote what decides in a row of the ledger, and nobody else who has the role's password.
-- Safe to apply any number of times.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

-- The existence check also lets a role without the rights to alter apply this again.
do $$
begin
  if not exists (select from pg_catalog.pg_attribute
                 where attrelid = pg_catalog.to_regclass('coderhook.accounts')::oid and attname = 'seal') then
    alter table coderhook.accounts add column seal bytea; -- null without LEDGER_SECRET, and where there is nothing to seal
  end if;
end
$$;
