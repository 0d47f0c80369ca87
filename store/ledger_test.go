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

	must(t, s.RecordUser(ctx, lease, coderID, "ada", true))
	want.CoderUserID, want.CoderUsername = coderID, "ada"
	wantAccount(t, s, want)

	must(t, s.RecordKey(ctx, lease, store.Key{ID: "abcdefghij", ExpiresAt: expires}))
	want.KeyID, want.KeyExpiresAt, want.Status = "abcdefghij", expires, store.Active
	wantAccount(t, s, want)

	must(t, s.RecordFailure(ctx, lease, store.Suspended, "user is suspended"))
	want.Status, want.LastError = store.Suspended, "user is suspended"
	wantAccount(t, s, want)

	must(t, s.RecordUser(ctx, lease, coderID, "ada2", true)) // the same user: the key stays
	want.CoderUsername, want.Status, want.LastError = "ada2", store.Active, ""
	wantAccount(t, s, want)

	must(t, s.Orphan(ctx, lease))
	want.Status, want.KeyID, want.KeyExpiresAt = store.Orphaned, "", time.Time{}
	wantAccount(t, s, want)

	must(t, s.ForgetUser(ctx, lease))
	want = store.Account{UserID: lease.UserID, Known: true, Status: store.Pending}
	wantAccount(t, s, want)
}

// The profile still has the key of a user who is no more. Were its id forgotten,
// it would look like a key from before the ledger, and be handed out.
func TestTheKeyOfAnotherCoderUserIsKnownToBeDead(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(*store.Store, store.Lease) error{
		"deleted": func(s *store.Store, l store.Lease) error { return s.ForgetUser(t.Context(), l) },
		"replaced": func(s *store.Store, l store.Lease) error {
			return s.RecordUser(t.Context(), l, uuid.New(), "bob", true)
		},
	} {
		for what, expires := range map[string]time.Time{"": newKey().ExpiresAt, " with a key of unknown expiry": {}} {
			t.Run(name+what, func(t *testing.T) {
				t.Parallel()
				ctx, s := t.Context(), storetest.New(t).Store(t)
				lease := claimed(t, s, uuid.New(), "me")
				must(t, s.RecordUser(ctx, lease, uuid.New(), "ada", true))
				must(t, s.RecordKey(ctx, lease, store.Key{ID: "abcdefghij", ExpiresAt: expires}))
				must(t, forget(s, lease))
				must(t, s.RecordUser(ctx, lease, uuid.New(), "eve", true))
				got := lookup(t, s, lease.UserID)
				if got.KeyID != "abcdefghij" || got.KeyExpiresAt.IsZero() || got.KeyExpiresAt.After(got.UpdatedAt) || got.Status != store.Pending {
					t.Errorf("%v expires %v, changed %v", got, got.KeyExpiresAt, got.UpdatedAt)
				}
			})
		}
	}
}

// A key that an older deployment made is adopted before its Coder user is known.
func TestAnAdoptedKeySurvivesItsUsersName(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), storetest.New(t).Store(t)
	lease := claimed(t, s, uuid.New(), "me")
	must(t, s.RecordKey(ctx, lease, newKey()))
	must(t, s.RecordUser(ctx, lease, uuid.New(), "ada", true))
	if got := lookup(t, s, lease.UserID); got.KeyID != "abcdefghij" || !got.KeyExpiresAt.Equal(newKey().ExpiresAt) {
		t.Errorf("%v expires %v", got, got.KeyExpiresAt)
	}
}

func TestACoderUserHasOneOwner(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), storetest.New(t).Store(t)
	coderID := uuid.New()
	first, second := claimed(t, s, uuid.New(), "me"), claimed(t, s, uuid.New(), "me")
	must(t, s.RecordUser(ctx, first, coderID, "ada", true))
	wantErr(t, s.RecordUser(ctx, second, coderID, "ada", true), store.ErrTaken)
	must(t, s.ForgetUser(ctx, first))
	must(t, s.RecordUser(ctx, second, coderID, "ada", true))
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
		"RecordUser":    s.RecordUser(ctx, stale, uuid.New(), "eve", true),
		"RecordKey":     s.RecordKey(ctx, stale, newKey()),
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
