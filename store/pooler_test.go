package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
)

// All that the store does, by many at once, through a real pooler that gives
// each transaction another of three connections.
func TestThroughPgBouncer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		port   int
		params string
	}{
		"known by its port":      {6543, ""},
		"known by its parameter": {5432, "&pgbouncer=true"},
		"found out":              {5432, ""},
		"simple protocol":        {6543, "&default_query_exec_mode=simple_protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			pooler, err := pgserver.StartPooler(t.Context(), db.RoleURL("coderhook"), c.port)
			if errors.Is(err, pgserver.ErrNoPooler) && os.Getenv("CI") != "true" {
				t.Skip(err)
			}
			must(t, err)
			t.Cleanup(func() { must(t, pooler.Stop()) })
			name := storetest.Query[string](t, db, `select current_database()`)
			cfg := store.Config{URL: pooler.URL(name) + c.params, MaxConns: 12}
			must(t, second(store.Migrate(t.Context(), cfg)))
			replicas := []*store.Store{storetest.Open(t, cfg), storetest.Open(t, cfg)}

			coveted := uuid.New()
			users := make([]uuid.UUID, 24)
			for i := range users {
				users[i] = db.AddUser(t, fmt.Sprintf("%d@example.com", i))
			}
			var wg sync.WaitGroup
			var mu sync.Mutex
			won := 0
			for i, id := range users {
				wg.Go(func() {
					s, owner := replicas[i%2], fmt.Sprint("worker ", i)
					if err := live(t.Context(), s, store.Lease{UserID: id, Owner: owner}); err != nil {
						t.Error(err)
					}
					err := s.Claim(t.Context(), store.Lease{UserID: coveted, Owner: owner}, ttl)
					if err != nil && !errors.Is(err, store.ErrLeased) {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						won++
					}
				})
			}
			wg.Wait()
			if won != 1 {
				t.Errorf("%d claims of one lease", won)
			}
			if n := storetest.Query[int](t, db, `select count(*) from pg_stat_activity where datname = current_database() and usename = 'coderhook'`); n > 3 {
				t.Errorf("%d connections to the server: that was no pooling", n)
			}
		})
	}
}

// live takes a user through every call of the store.
func live(ctx context.Context, s *store.Store, lease store.Lease) error {
	coderID := uuid.New()
	steps := []func() error{
		func() error { return s.Claim(ctx, lease, ttl) },
		func() error { return s.RecordUser(ctx, lease, coderID, "ada", true) },
		func() error { return s.Extend(ctx, lease, ttl) },
		func() error { return s.RecordFailure(ctx, lease, store.Pending, "down") },
		func() error { return s.StoreKey(ctx, lease, store.Key{Secret: lease.Owner, ID: lease.Owner}) },
		func() error {
			return s.RecordKey(ctx, lease, store.Key{ID: lease.Owner, ExpiresAt: newKey().ExpiresAt})
		},
		func() error {
			owner, err := s.OwnerOf(ctx, coderID)
			if err == nil && owner != lease.UserID {
				err = fmt.Errorf("coder user is owned by %v", owner)
			}
			return err
		},
		func() error {
			users, err := s.AuthUsers(ctx, []uuid.UUID{lease.UserID, uuid.New()})
			if err == nil && len(users) != 2 {
				err = fmt.Errorf("%d users", len(users))
			}
			return err
		},
		func() error {
			a, err := s.Lookup(ctx, lease.UserID)
			if err == nil && (a.APIKey != lease.Owner || a.KeyID != lease.Owner || !a.Leased || !a.KeyExpiresAt.Equal(newKey().ExpiresAt)) {
				err = fmt.Errorf("found %v with key %q", a, a.APIKey)
			}
			return err
		},
		func() error { return s.ForgetUser(ctx, lease) },
		func() error { return s.Orphan(ctx, lease) },
		func() error { return s.Release(ctx, lease) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}
