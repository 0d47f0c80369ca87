package store_test

import (
	"strings"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
)

// wantAccount compares all of a user's account but its times and lease.
func wantAccount(t *testing.T, s *store.Store, want store.Account) {
	t.Helper()
	got := lookup(t, s, want.UserID)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(got, "LeaseUntil", "Leased", "UpdatedAt")); diff != "" {
		t.Error(diff)
	}
}

func TestLedgerThroughALife(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), storetest.New(t).Store(t)
	coderID, expires := uuid.New(), newKey().ExpiresAt
	lease := claimed(t, s, uuid.New(), "me")
	want := store.Account{UserID: lease.UserID, Known: true, Status: store.Pending}
	wantAccount(t, s, want)

	must(t, s.RecordUser(ctx, lease, coderID, "ada"))
	want.CoderUserID, want.CoderUsername = coderID, "ada"
	wantAccount(t, s, want)

	must(t, s.RecordKey(ctx, lease, "abcdefghij", expires))
	want.KeyID, want.KeyExpiresAt, want.Status = "abcdefghij", expires, store.Active
	wantAccount(t, s, want)

	must(t, s.RecordFailure(ctx, lease, store.Suspended, "user is suspended"))
	want.Status, want.LastError = store.Suspended, "user is suspended"
	wantAccount(t, s, want)

	must(t, s.RecordUser(ctx, lease, coderID, "ada2")) // the same user: the key stays
	want.CoderUsername, want.Status, want.LastError = "ada2", store.Active, ""
	wantAccount(t, s, want)

	must(t, s.Orphan(ctx, lease))
	want.Status, want.KeyID, want.KeyExpiresAt = store.Orphaned, "", time.Time{}
	wantAccount(t, s, want)

	must(t, s.ForgetUser(ctx, lease))
	want = store.Account{UserID: lease.UserID, Known: true, Status: store.Pending}
	wantAccount(t, s, want)
}

func TestAnotherCoderUserHasAnotherKey(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), storetest.New(t).Store(t)
	lease := claimed(t, s, uuid.New(), "me")
	must(t, s.RecordUser(ctx, lease, uuid.New(), "ada"))
	must(t, s.RecordKey(ctx, lease, "abcdefghij", time.Time{}))
	linked := uuid.New()
	must(t, s.RecordUser(ctx, lease, linked, "bob"))
	wantAccount(t, s, store.Account{
		UserID: lease.UserID, Known: true, CoderUserID: linked, CoderUsername: "bob", Status: store.Pending,
	})
}

func TestACoderUserHasOneOwner(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), storetest.New(t).Store(t)
	coderID := uuid.New()
	first, second := claimed(t, s, uuid.New(), "me"), claimed(t, s, uuid.New(), "me")
	must(t, s.RecordUser(ctx, first, coderID, "ada"))
	wantErr(t, s.RecordUser(ctx, second, coderID, "ada"), store.ErrTaken)
	must(t, s.ForgetUser(ctx, first))
	must(t, s.RecordUser(ctx, second, coderID, "ada"))
}

func TestFailureTextIsCutAndClean(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store(t)
	lease := claimed(t, s, uuid.New(), "me")
	must(t, s.RecordFailure(t.Context(), lease, store.Pending, "a\x00b\xff"+strings.Repeat("é", 600)))
	want := "a\uFFFDb\uFFFD" + strings.Repeat("é", 496)
	if got := lookup(t, s, lease.UserID).LastError; got != want {
		t.Errorf("got %q", got)
	}
}

func TestUnknownStatusIsRefused(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store(t)
	lease := claimed(t, s, uuid.New(), "me")
	if err := s.RecordFailure(t.Context(), lease, "lost", ""); err == nil {
		t.Error("status lost was stored")
	}
}

func TestAStaleOwnerChangesNothing(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := db.Store(t)
	id := db.AddUser(t, "a@example.com")
	db.Exec(t, `insert into public.profiles (id, api_key) values ($1, 'current')`, id)
	must(t, s.Claim(ctx, store.Lease{UserID: id, Owner: "stale"}, 0))
	claimed(t, s, id, "heir")
	before := lookup(t, s, id)

	stale := store.Lease{UserID: id, Owner: "stale"}
	for what, err := range map[string]error{
		"StoreKey":      s.StoreKey(ctx, stale, newKey()),
		"RecordUser":    s.RecordUser(ctx, stale, uuid.New(), "eve"),
		"RecordKey":     s.RecordKey(ctx, stale, "k", time.Now()),
		"RecordFailure": s.RecordFailure(ctx, stale, store.Conflict, "x"),
		"ForgetUser":    s.ForgetUser(ctx, stale),
		"Orphan":        s.Orphan(ctx, stale),
		"Extend":        s.Extend(ctx, stale, ttl),
	} {
		t.Log(what)
		wantErr(t, err, store.ErrLeaseLost)
	}
	must(t, s.Release(ctx, stale))
	if diff := cmp.Diff(before, lookup(t, s, id)); diff != "" {
		t.Error(diff)
	}
}
