-- What our functions call is in pg_catalog, and nothing that a caller put into its own pg_temp comes before it.
-- For databases that had them from an older version of the files before. Safe to apply any number of times.
-- Beside it runs: every version.

select pg_catalog.pg_advisory_xact_lock(20261123000001);

do $$
declare
  ours regprocedure;
begin
  for ours in
    select f.oid::regprocedure from pg_catalog.pg_proc f join pg_catalog.pg_namespace n on n.oid = f.pronamespace
     where n.nspname = 'coderhook' and f.prosecdef and pg_catalog.pg_has_role(f.proowner, 'usage')
  loop
    execute pg_catalog.format('alter function %s set search_path = pg_catalog, pg_temp', ours);
  end loop;
end
$$;
