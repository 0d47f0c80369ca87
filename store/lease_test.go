package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

func TestClaimIsExclusive(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	replicas := []*store.Store{db.Store(t), db.Store(t)}
	id := uuid.New()
	var won, inside atomic.Int32
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			s, lease := replicas[i%2], store.Lease{UserID: id, Owner: fmt.Sprint("worker ", i)}
			// Each comes again until it has had its turn.
			for {
				err := s.Claim(t.Context(), lease, ttl)
				if errors.Is(err, store.ErrLeased) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				break
			}
			if inside.Add(1) != 1 {
				t.Error("two owners at once")
			}
			won.Add(1)
			inside.Add(-1)
			if err := s.Release(t.Context(), lease); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 24 {
		t.Errorf("%d of 24 had their turn", won.Load())
	}
}

func TestOnlyOneOfManyClaims(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	replicas := []*store.Store{db.Store(t), db.Store(t)}
	id := uuid.New()
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			err := replicas[i%2].Claim(t.Context(), store.Lease{UserID: id, Owner: fmt.Sprint("worker ", i)}, ttl)
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, store.ErrLeased):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d claims of one lease", won.Load())
	}
}

func TestClaimAgainByItsOwner(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store(t)
	lease := claimed(t, s, uuid.New(), "me")
	before := lookup(t, s, lease.UserID).LeaseUntil
	must(t, s.Claim(t.Context(), lease, 2*ttl))
	if after := lookup(t, s, lease.UserID).LeaseUntil; !after.After(before) {
		t.Errorf("lease until %v, then %v", before, after)
	}
}

func TestClaimNeedsAnOwner(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store(t)
	if err := s.Claim(t.Context(), store.Lease{UserID: uuid.New()}, ttl); err == nil {
		t.Error("claimed by nobody")
	}
}

func TestTakeoverAfterExpiry(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store(t)
	id := uuid.New()
	dead, heir := store.Lease{UserID: id, Owner: "dead"}, store.Lease{UserID: id, Owner: "heir"}
	must(t, s.Claim(t.Context(), dead, 100*time.Millisecond))
	eventually(t, func() bool {
		err := s.Claim(t.Context(), heir, ttl)
		if err != nil {
			wantErr(t, err, store.ErrLeased)
		}
		return err == nil
	})
	wantErr(t, s.Extend(t.Context(), dead, ttl), store.ErrLeaseLost)
	must(t, s.Release(t.Context(), dead)) // and takes nothing away:
	wantErr(t, s.Claim(t.Context(), dead, ttl), store.ErrLeased)
}

func TestLeasedFollowsTheDatabasesClock(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store(t)
	lease := claimed(t, s, uuid.New(), "me")
	must(t, s.Extend(t.Context(), lease, 100*time.Millisecond))
	eventually(t, func() bool { return !lookup(t, s, lease.UserID).Leased })
	must(t, s.Extend(t.Context(), lease, ttl)) // nobody has claimed it
	if !lookup(t, s, lease.UserID).Leased {
		t.Error("not leased after it was extended")
	}
	must(t, s.Release(t.Context(), lease))
	if got := lookup(t, s, lease.UserID); got.Leased || !got.LeaseUntil.IsZero() {
		t.Errorf("released, but leased until %v", got.LeaseUntil)
	}
}
