package store_test

import (
	"errors"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const ttl = time.Minute

// patience is for what takes longer the busier the machine is. Only a fault uses it up.
const patience = 2 * time.Minute

// secret is a key in Coder's form. No error may ever contain its second half.
const secret = "abcdefghij-0123456789abcdefghijkl"

func newKey() store.Key {
	return store.Key{Secret: secret, ID: "abcdefghij", ExpiresAt: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)}
}

// claimed returns a lease on userID that somebody called owner holds.
func claimed(t testing.TB, s *store.Store, userID uuid.UUID, owner string) store.Lease {
	t.Helper()
	lease := store.Lease{UserID: userID, Owner: owner}
	if err := s.Claim(t.Context(), lease, ttl); err != nil {
		t.Fatal(err)
	}
	return lease
}

func lookup(t testing.TB, s *store.Store, userID uuid.UUID) store.Account {
	t.Helper()
	account, err := s.Lookup(t.Context(), userID)
	if err != nil {
		t.Fatal(err)
	}
	return account
}

func wantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until done, which it calls again and again.
func eventually(t testing.TB, done func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for !done() {
		select {
		case <-time.After(time.Millisecond):
		case <-timeout:
			t.Fatalf("did not happen within %s", patience)
		}
	}
}

// waiting is how many of the database's sessions wait for a lock.
func waiting(t testing.TB, db *storetest.DB) int {
	t.Helper()
	return storetest.Query[int](t, db,
		`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)
}
