package soak

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// database is a PostgreSQL of the soak's own, which it can take down. Sign-ins hold transactions
// while it fails under them, for which the helpers of storetest have no words: hence pgx.
type database struct {
	server   *pgserver.Server
	pool     *pgxpool.Pool // as superuser
	roleURL  string        // of coderhook
	adminURL string        // of the product, who is no superuser
	power    sync.Mutex    // one at a time takes it down
}

// auditSQL writes down who changes what. What coderhook does to auth.users is a breach at once.
const auditSQL = `
create schema soak;
create table soak.writes (user_id uuid, key_id text, at timestamptz default clock_timestamp());
create table soak.trespasses (by text default session_user, at timestamptz default clock_timestamp());
create function soak.note() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if new.api_key is not null and (tg_op = 'INSERT' or new.api_key is distinct from old.api_key) then
    insert into soak.writes (user_id, key_id) values (new.id, split_part(new.api_key, '-', 1));
  end if;
  return null;
end
$$;
create trigger soak_note after insert or update on public.profiles for each row execute function soak.note();
create function soak.guard() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if session_user = 'coderhook' then
    insert into soak.trespasses default values;
  end if;
  return null;
end
$$;
create trigger soak_guard after insert or update or delete on auth.users for each statement execute function soak.guard();
`

// startDatabase makes a Supabase project whose commits outlive a crash, with as few connections as
// the smallest one has, and with the usual triggers. Every other seed's makes profiles at sign-up.
func startDatabase(t *testing.T, seed uint64) *database {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	server, err := pgserver.Start(ctx, pgserver.Options{Settings: []string{"synchronous_commit=on", "max_connections=60"}})
	must(err)
	t.Cleanup(func() { _ = server.Stop() })
	d, admin := &database{server: server}, server.URL("postgres")
	must(pgserver.PrepareSupabase(ctx, admin))
	d.adminURL, err = pgserver.LetIn(ctx, admin, pgserver.ProductAdmin)
	must(err)
	_, err = store.Migrate(ctx, store.Config{URL: d.adminURL})
	must(err)
	d.roleURL, err = pgserver.LetIn(ctx, admin, "coderhook")
	must(err)
	config, err := pgxpool.ParseConfig(admin)
	must(err)
	config.MaxConns = workers + 4
	d.pool, err = pgxpool.NewWithConfig(ctx, config)
	must(err)
	t.Cleanup(d.pool.Close)
	triggers := auditSQL + pgserver.SyncUserTriggerSQL
	if seed%2 == 0 {
		triggers += pgserver.NewUserTriggerSQL
	}
	_, err = d.pool.Exec(ctx, triggers)
	must(err)
	return d
}

// inTransaction is a sign-in's: do is called between the statement and its end.
func (d *database) inTransaction(ctx context.Context, commit bool, sql string, args []any, do func()) (committed bool) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tx, err := d.pool.Begin(ctx)
	if err != nil {
		return false
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // committed, or lost with its connection
	locking, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	if tag, err := tx.Exec(locking, sql, args...); err != nil || tag.RowsAffected() == 0 {
		return false
	}
	do()
	return commit && tx.Commit(ctx) == nil
}

// rows returns the rows of a query, for as long as it takes until there is an answer.
func rows[T any](s *soak, sql string, args ...any) (list []T) {
	s.t.Helper()
	var err error
	ok := s.until(20*time.Second, func() bool {
		var found pgx.Rows
		if found, err = s.db.pool.Query(s.t.Context(), sql, args...); err == nil {
			list, err = pgx.CollectRows(found, pgx.RowToStructByName[T])
		}
		return err == nil
	})
	if !ok {
		s.t.Fatalf("%v, in:\n%s", err, sql)
	}
	return list
}

func newID(random *rand.Rand) uuid.UUID {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(random.Uint32())
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // version 4
	return id
}
