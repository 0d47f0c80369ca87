package store_test

import (
	"strconv"
	"sync"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"
)

const (
	growSQL   = `insert into coderhook.accounts (user_id, status, key_id) select gen_random_uuid(), 'active', 'abcdefghij' from generate_series(1, $1)`
	shrinkSQL = `delete from coderhook.accounts where user_id in (select user_id from coderhook.accounts limit $1)`
	laterSQL  = `update coderhook.tasks set finished_at = finished_at - make_interval(secs => $1)`
)

func census(t *testing.T, s *store.Store) store.Census {
	t.Helper()
	c, err := s.Census(t.Context(), noon)
	must(t, err)
	return c
}

// A small ledger is counted for everybody who asks, whatever was kept.
func TestCensusOfASmallLedgerIsOfNow(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	for n := range 3 {
		must(t, s.TakeCensus(t.Context(), "me", noon))
		if got := census(t, s); got.Accounts[store.Active] != int64(n) || !got.CountedAt.Equal(noon) {
			t.Errorf("got %+v, want %d", got, n)
		}
		db.Exec(t, growSQL, 1)
	}
}

// That of a large one is of the time that it tells, and taken anew when it is time.
func TestCensusOfALargeLedgerIsKept(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	db.Exec(t, growSQL, 20_010)
	if got := census(t, s); got.Accounts[store.Active] != 20_010 || !got.CountedAt.Equal(noon) {
		t.Errorf("before anybody has counted: %+v", got)
	}
	must(t, s.TakeCensus(t.Context(), "me", noon))
	first := census(t, s)
	if first.Accounts[store.Active] != 20_010 || first.GivenOut != 20_010 || first.Keys[store.KeyUnknown] != 20_010 || first.CountedAt.Equal(noon) {
		t.Errorf("when it was counted: %+v", first)
	}
	db.Exec(t, shrinkSQL, 5)
	must(t, s.TakeCensus(t.Context(), "me", noon))
	if got := census(t, s); got.Accounts[store.Active] != 20_010 || !got.CountedAt.Equal(first.CountedAt) {
		t.Errorf("before it is time: %+v", got)
	}
	db.Exec(t, laterSQL, 3600)
	must(t, s.TakeCensus(t.Context(), "another", noon))
	if got := census(t, s); got.Accounts[store.Active] != 20_005 || got.CountedAt.Equal(noon) {
		t.Errorf("when it was counted again: %+v", got)
	}
}

// Of replicas that find at the same time that it is time one counts, and one that is killed at it keeps the others from
// it for a while.
func TestReplicasShareTheCensus(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	db.Exec(t, growSQL, 20_000)
	for range 5 {
		var replicas sync.WaitGroup
		for i := range 8 {
			replicas.Go(func() {
				if err := s.TakeCensus(t.Context(), strconv.Itoa(i), noon); err != nil {
					t.Error(err)
				}
			})
			replicas.Go(func() { db.Exec(t, growSQL, 1) })
		}
		replicas.Wait()
		must(t, s.TakeCensus(t.Context(), "me", noon))
		db.Exec(t, laterSQL, 60)
	}
	must(t, s.TakeCensus(t.Context(), "me", noon))
	if got, want := census(t, s).Accounts[store.Active], storetest.Query[int64](t, db, `select count(*) from coderhook.accounts`); got != want {
		t.Errorf("%d were counted, there are %d", got, want)
	}
	db.Exec(t, laterSQL, 60)
	db.Exec(t, growSQL, 1)
	held := store.Task{Name: store.CensusTask, Owner: "killed"}
	_, err := s.ClaimTask(t.Context(), held, ttl)
	must(t, err)
	before := census(t, s)
	must(t, s.TakeCensus(t.Context(), "me", noon))
	if got := census(t, s); got.Accounts[store.Active] != before.Accounts[store.Active] {
		t.Errorf("counted while another replica was at it: %+v", got)
	}
	db.Exec(t, `update coderhook.tasks set lease_until = now()`)
	must(t, s.TakeCensus(t.Context(), "me", noon))
	if got := census(t, s); got.Accounts[store.Active] != before.Accounts[store.Active]+1 {
		t.Errorf("after it was killed: %+v", got)
	}
}
