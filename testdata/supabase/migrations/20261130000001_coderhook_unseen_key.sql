-- Which keys were never in an access token: those that were made with KEY_IN_CLAIMS=false. Safe to apply any number of times.
-- Beside it runs: every version; one that does not know KEY_IN_CLAIMS gives keys out.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

-- The existence check also lets a role without the rights to alter apply this again.
do $$
begin
  if not exists (select from pg_catalog.pg_attribute
                 where attrelid = pg_catalog.to_regclass('coderhook.accounts')::oid and attname = 'unseen_key_id') then
    -- Equal to key_id where no token has carried that key. All else counts as given out, so that a key of an older
    -- version does, also one that such a version stores beside this one.
    alter table coderhook.accounts add column unseen_key_id text;
  end if;
end
$$;
