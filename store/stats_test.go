package store_test

import (
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/go-cmp/cmp"
)

func TestCensus(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	empty, err := s.Census(t.Context(), noon)
	must(t, err)
	if len(empty.Accounts) != len(store.Statuses) || len(empty.Keys) != len(store.KeyStates) {
		t.Errorf("an empty ledger: %+v", empty)
	}
	for _, row := range []struct {
		status   store.Status
		left     time.Duration
		lifetime any
		refused  any
	}{
		{store.Active, 61 * time.Minute, 3 * 3600, nil}, // good
		{store.Active, 60 * time.Minute, 3 * 3600, nil}, // the last third begins
		{store.Active, time.Second, 3 * 3600, nil},      // aging
		{store.Active, 0, 3 * 3600, nil},                // expired
		{store.Active, time.Hour, nil, nil},             // aging: a lifetime that is not known
		{store.Pending, time.Hour, 3600, noon},          // refused
		{store.Offboarded, -time.Hour, 3600, noon},      // refused
	} {
		db.Exec(t, `insert into coderhook.accounts (user_id, status, key_id, key_expires_at, key_lifetime_seconds, key_refused_at)
			values (gen_random_uuid(), $1, 'abcdefghij', $2, $3, $4)`, string(row.status), noon.Add(row.left), row.lifetime, row.refused)
	}
	db.Exec(t, `insert into coderhook.accounts (user_id, status, key_id) values (gen_random_uuid(), 'active', 'abcdefghij')`)
	db.Exec(t, `insert into coderhook.accounts (user_id, status) values (gen_random_uuid(), 'conflict')`)
	db.Exec(t, `insert into coderhook.accounts (user_id, status, key_id, unseen_key_id) values (gen_random_uuid(), 'active', 'abcdefghij', 'abcdefghij')`)
	got, err := s.Census(t.Context(), noon)
	must(t, err)
	want := store.Census{
		Accounts: map[store.Status]int64{
			store.Pending: 1, store.Active: 7, store.Conflict: 1, store.Suspended: 0, store.Orphaned: 0, store.Offboarded: 1,
		},
		Keys: map[store.KeyState]int64{
			store.KeyGood: 1, store.KeyAging: 3, store.KeyExpired: 1, store.KeyRefused: 2, store.KeyUnknown: 2, store.KeyNone: 1,
		},
		GivenOut:  5, // good, aging, and one of the unknown
		CountedAt: noon,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
