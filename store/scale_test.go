package store_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// settle fills the database with users who have had a key for a while, and whose key was renewed.
func settle(tb testing.TB, db *storetest.DB, n int) []uuid.UUID {
	tb.Helper()
	db.Exec(tb, `insert into auth.users (id, email) select gen_random_uuid(), 'user' || i || '@example.com' from generate_series(1, $1) i`, n)
	db.Exec(tb, `insert into public.profiles (id, api_key) select id, left(md5(id::text), 10) || '-' || left(md5(email), 22) from auth.users
		on conflict (id) do update set api_key = excluded.api_key`)
	db.Exec(tb, `insert into coderhook.accounts (user_id, coder_user_id, coder_username, status, key_id, key_expires_at, key_lifetime_seconds, key_checked_at)
		select id, gen_random_uuid(), left(id::text, 8), 'active', left(api_key, 10), now() + interval '5 days', 604800, now() from public.profiles`)
	db.Exec(tb, `insert into coderhook.retired_keys (key_id, user_id, coder_user_id, delete_after)
		select reverse(key_id), user_id, coder_user_id, now() + interval '1 hour' from coderhook.accounts`)
	db.Exec(tb, `analyze`)
	return storetest.QueryAll[uuid.UUID](tb, db, `select user_id from coderhook.accounts`)
}

// A look-up finds its rows by indexes alone, however many users there are.
func TestLookupReadsNoTableThrough(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	users := settle(t, db, 10_000)
	for _, params := range []string{"", "&pgbouncer=true"} {
		s := storetest.Open(t, store.Config{URL: db.RoleURL("coderhook") + params})
		for _, user := range users[:100] {
			if got := lookup(t, s, user); got.APIKey == "" || got.KeyID == "" || len(retired(t, s, user)) != 1 {
				t.Fatalf("got %v", got)
			}
		}
		s.Close() // its counters are written then
	}
	eventually(t, func() bool {
		return storetest.QueryAll[int](t, db, `select idx_scan::int from pg_stat_user_tables where relname = 'accounts'`)[0] >= 200
	})
	// Filling the tables reads them through some times, too, and that may be counted as late.
	for _, table := range []string{"accounts", "profiles", "retired_keys"} {
		if read := storetest.QueryAll[int](t, db, `select seq_tup_read::int from pg_stat_user_tables where relname = $1`, table)[0]; read > 100*10_000 {
			t.Errorf("%d rows of %s were read in 200 look-ups without an index", read, table)
		}
	}
}

var benchRows = flag.String("rows", "10000", "sizes of the ledgers of benchmarks, separated by commas")

// BenchmarkLedger asks ledgers of different sizes all that is asked of them: go test ./store -run - -bench Ledger -rows 10000,100000,1000000
func BenchmarkLedger(b *testing.B) {
	for text := range strings.SplitSeq(*benchRows, ",") {
		n, err := strconv.Atoi(text)
		must(b, err)
		b.Run("rows="+text, func(b *testing.B) { benchLedger(b, n) })
	}
}

func benchLedger(b *testing.B, n int) {
	db := storetest.New(b)
	// As Supabase has them.
	db.Exec(b, `alter table auth.users add column instance_id uuid default '00000000-0000-0000-0000-000000000000'`)
	db.Exec(b, `create index users_instance_id_email_idx on auth.users (instance_id, lower(email::text))`)
	users := settle(b, db, n)
	s := storetest.Open(b, store.Config{URL: db.RoleURL("coderhook")})
	// None is to be looked at just now: the worst case of asking for those.
	db.Exec(b, `update coderhook.accounts set looked_at = now() - interval '7 days' * random() * (0.75 + uuid_hash(user_id) / 8589934592.0)`)
	db.Exec(b, `vacuum analyze`) // as autovacuum does
	one := func() uuid.UUID { return users[rand.IntN(len(users))] }
	const page = 100
	must(b, s.TakeCensus(b.Context(), "me", time.Now()))
	for name, ask := range map[string]func(context.Context) error{
		"lookup": func(ctx context.Context) error { return second(s.Lookup(ctx, one())) },
		"page":   func(ctx context.Context) error { return second(s.Page(ctx, one(), page)) },
		"states": func(ctx context.Context) error { return second(s.AuthUsers(ctx, users[:page])) },
		"facts":  func(ctx context.Context) error { return second(s.UserFacts(ctx, users[:page])) },
		"count": func(ctx context.Context) error {
			db.Exec(b, `update coderhook.tasks set finished_at = finished_at - interval '1 day'`)
			return s.TakeCensus(ctx, "me", time.Now())
		},
		"census": func(ctx context.Context) error { return second(s.Census(ctx, time.Now())) },
		"oldest": func(ctx context.Context) error { return second(s.OldestLook(ctx)) },
		"unlooked": func(ctx context.Context) error {
			return second(s.Unlooked(ctx, store.Entry{}, time.Now(), 7*24*time.Hour, page))
		},
		"scan":       func(ctx context.Context) error { return second(s.Changes(ctx, 10_000)) },
		"encryption": func(ctx context.Context) error { return second(s.EncryptionCensus(ctx)) },
		"lives":      func(ctx context.Context) error { _, _, err := s.Lives(ctx); return err },
		"secrets":    s.CheckSecrets,
		"living":     func(ctx context.Context) error { return second(s.LivingUsers(ctx, one(), page)) },
		"email": func(ctx context.Context) error {
			return second(s.AuthUserIDs(ctx, "user"+strconv.Itoa(rand.IntN(n)+1)+"@example.com"))
		},
		"departures": func(ctx context.Context) error { return second(s.TakeDepartures(ctx, 32, time.Second)) },
		"unreadable": func(ctx context.Context) error { return second(s.MissingEncryptionKeys(ctx)) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				must(b, ask(b.Context()))
			}
		})
	}
}
