package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"
)

// What is open swallows everything, as after a failover to another machine; new connections work. It costs time,
// but neither a key nor, for as long as pgx takes leave of the dead, places in the pool.
func TestOpenConnectionsThatSwallowEverythingCostNoKey(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	p := newProxy(t, db.RoleURL("coderhook"))
	s := storetest.Open(t, store.Config{URL: p.url})
	users := keyed(t, db, s, 20)
	eventually(t, func() bool {
		lookAllUp(t, s, users)
		return s.PoolStats().Idle > 5
	})
	p.swallow()
	for range 2 {
		var wg sync.WaitGroup
		for _, id := range users {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				if account, err := s.Lookup(ctx, id); err != nil || account.APIKey != secret {
					t.Errorf("no key: %v", err)
				}
			})
		}
		wg.Wait()
	}
}
