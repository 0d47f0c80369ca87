package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

const narrow, wide = "narrow", "wide"

// setKey is a key of that set, made at noon.
func setKey(id, set string) store.Key {
	return store.Key{
		Secret: id + "-x", ID: id, Set: set, Grant: `{"scopes":["workspace:read"]}`, ExpiresAt: noon.Add(48 * time.Hour), Lifetime: 48 * time.Hour, MadeAt: noon, Unseen: true,
	}
}

// withAccount is a committed user with a Coder account.
func withAccount(t *testing.T, db *storetest.DB, s *store.Store) store.Lease {
	t.Helper()
	lease := newUser(t, db, s)
	must(t, s.RecordUser(t.Context(), lease, uuid.New(), "ada"+lease.UserID.String()[:8], true))
	return lease
}

func inSet(t *testing.T, s *store.Store, user uuid.UUID, set string) store.Account {
	t.Helper()
	a, err := s.LookupSet(t.Context(), user, set)
	must(t, err)
	return a
}

// Each set has a key of its own beside the profile's, with all that is known of it.
func TestKeysOfSets(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := encrypting(t, db, keyA)
	lease := withAccount(t, db, s)
	user, ctx := lease.UserID, t.Context()
	must(t, s.StoreKey(ctx, lease, store.Key{Secret: "pppppppppp-x", ID: "pppppppppp"}))
	must(t, s.StoreKey(ctx, lease, setKey("nnnnnnnnnn", narrow)))
	must(t, s.StoreKey(ctx, lease, setKey("wwwwwwwwww", wide)))
	if got := lookup(t, s, user); got.APIKey != "pppppppppp-x" || got.KeyID != "pppppppppp" || got.Sets != nil {
		t.Errorf("the profile's: %v, %v", got, got.Sets)
	}
	got := inSet(t, s, user, narrow)
	if got.APIKey != "nnnnnnnnnn-x" || got.Set != narrow || !got.KeyUnseen || !got.KeyExpiresAt.Equal(noon.Add(48*time.Hour)) || got.KeyLifetime != 48*time.Hour ||
		!got.KeyCheckedAt.Equal(noon) || !strings.Contains(got.KeyGrant, "workspace:read") || got.Encryption != store.Encrypted {
		t.Errorf("%#v", got)
	}
	if none := inSet(t, s, user, "another"); none.APIKey != "" || none.KeyID != "" || none.CoderUserID == uuid.Nil {
		t.Errorf("no key of another set: %v", none)
	}
	must(t, s.GiveOut(ctx, user, "nnnnnnnnnn"))
	if inSet(t, s, user, narrow).KeyUnseen || !inSet(t, s, user, wide).KeyUnseen {
		t.Error("one is given out, and one is not")
	}
	later := setKey("nnnnnnnnnn", narrow)
	later.ExpiresAt = noon.Add(72 * time.Hour)
	must(t, s.RecordKey(ctx, lease, later))
	if got := inSet(t, s, user, narrow); !got.KeyExpiresAt.Equal(later.ExpiresAt) || got.KeyUnseen {
		t.Errorf("looked at again: %#v", got)
	}
	must(t, s.BeginCheck(ctx, user, "wwwwwwwwww", noon.Add(time.Hour), time.Minute))
	if err := s.BeginCheck(ctx, user, "wwwwwwwwww", noon.Add(time.Hour), time.Minute); !errors.Is(err, store.ErrSuperseded) {
		t.Errorf("once an interval: %v", err)
	}
	page, err := s.Page(ctx, uuid.Nil, 10)
	if err != nil || len(page) != 1 || len(page[0].Sets) != 2 || page[0].Sets[0].Secret != "" || page[0].Sets[0].ID != "nnnnnnnnnn" {
		t.Errorf("%v, %v", page, err)
	}
	census, err := s.Census(ctx, noon)
	if err != nil || census.Keys[store.KeyGood] != 2 || census.Keys[store.KeyUnknown] != 1 || census.GivenOut != 2 || census.Accounts[store.Active] != 1 {
		t.Errorf("%+v, %v", census, err)
	}
}

// untilOf is when a retired key may be deleted.
func untilOf(t *testing.T, s *store.Store, user uuid.UUID, id string) time.Time {
	t.Helper()
	retired, err := s.Retired(t.Context(), user)
	must(t, err)
	for _, r := range retired {
		if r.KeyID == id {
			return r.Until
		}
	}
	return time.Time{}
}

// From the beginning it is among the retired keys, until after its end: so an older version leaves it, and ends it with the others.
func TestKeysOfSetsAreRetired(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	lease := withAccount(t, db, s)
	user, ctx := lease.UserID, t.Context()
	must(t, s.RecordTokenLife(ctx, user, time.Hour))
	carried := 70 * time.Minute
	must(t, s.StoreKey(ctx, lease, setKey("nnnnnnnnnn", narrow)))
	if got := untilOf(t, s, user, "nnnnnnnnnn"); !got.Equal(noon.Add(48*time.Hour + carried)) {
		t.Errorf("alive until %s", got)
	}
	second := setKey("oooooooooo", narrow)
	second.MadeAt = noon.Add(time.Hour)
	must(t, s.StoreKey(ctx, lease, second))
	if got := untilOf(t, s, user, "nnnnnnnnnn"); !got.Equal(noon.Add(time.Hour + carried)) {
		t.Errorf("replaced: alive until %s", got)
	}
	must(t, s.DropSets(ctx, store.Lease{UserID: user, Owner: "somebody else"}, noon, []string{narrow}, "no"))
	if inSet(t, s, user, narrow).KeyID == "" {
		t.Error("dropped without the lease")
	}
	must(t, s.DropSets(ctx, lease, noon.Add(2*time.Hour), []string{narrow}, "no rule gives it"))
	if got := untilOf(t, s, user, "oooooooooo"); !got.Equal(noon.Add(2*time.Hour)) || inSet(t, s, user, narrow).KeyID != "" {
		t.Errorf("dropped: alive until %s", got)
	}
	must(t, s.StoreKey(ctx, lease, setKey("qqqqqqqqqq", narrow)))
	must(t, s.ForgetRetired(ctx, "qqqqqqqqqq"))
	if inSet(t, s, user, narrow).KeyID != "" {
		t.Error("ended in Coder, and still there")
	}
	events := storetest.QueryAll[string](t, db, `select action || ' ' || key_id from coderhook.audit where key_id is not null order by id`)
	want := []string{"key-made nnnnnnnnnn", "key-retired nnnnnnnnnn", "key-made oooooooooo", "key-retired oooooooooo", "key-made qqqqqqqqqq"}
	if !slices.Equal(events, want) {
		t.Errorf("audit: %v", events)
	}
}

// What ends a user's keys ends those of all sets.
func TestAllThatEndsKeysEndsThoseOfSets(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	for name, end := range map[string]func(store.Lease) error{
		"revoke":       func(l store.Lease) error { return s.Revoke(t.Context(), l, noon, "me", "stolen") },
		"off-boarding": func(l store.Lease) error { return s.Offboard(t.Context(), l, noon) },
		"roles":        func(l store.Lease) error { return s.RefuseRoles(t.Context(), l, noon, "owner") },
		"removal":      func(l store.Lease) error { return s.Remove(t.Context(), l) },
	} {
		lease := withAccount(t, db, s)
		id := uuid.NewString()[:10]
		must(t, s.StoreKey(t.Context(), lease, setKey(id, narrow)))
		must(t, end(lease))
		if got := inSet(t, s, lease.UserID, narrow); got.KeyID != "" {
			t.Errorf("%s: %v", name, got)
		}
		if until := untilOf(t, s, lease.UserID, id); !until.Equal(noon) && name != "removal" { // of whom nothing is left in Coder
			t.Errorf("%s: kept in Coder until %s", name, until)
		}
	}
	for name, sql := range map[string]string{
		"another Coder user": `update coderhook.accounts set coder_user_id = gen_random_uuid() where user_id = $1`,
		"no Coder user":      `update coderhook.accounts set coder_user_id = null where user_id = $1`,
	} {
		lease := withAccount(t, db, s)
		must(t, s.StoreKey(t.Context(), lease, setKey(uuid.NewString()[:10], narrow)))
		db.Exec(t, sql, lease.UserID)
		if got := inSet(t, s, lease.UserID, narrow); got.KeyID != "" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A check that finds it dead forgets it, and leaves the profile's alone; so does one that finds its user suspended.
func TestCheckedKeysOfSets(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	lease := withAccount(t, db, s)
	user, ctx := lease.UserID, t.Context()
	must(t, s.StoreKey(ctx, lease, store.Key{Secret: "pppppppppp-x", ID: "pppppppppp"}))
	must(t, s.StoreKey(ctx, lease, setKey("nnnnnnnnnn", narrow)))
	if err := s.RefuseKey(ctx, user, "nnnnnnnnnn", noon, "dead"); !errors.Is(err, store.ErrSuperseded) {
		t.Errorf("while somebody works on the account: %v", err)
	}
	must(t, s.Release(ctx, lease))
	must(t, s.MarkSuspended(ctx, user, "nnnnnnnnnn", "suspended"))
	if got := lookup(t, s, user); got.Status != store.Suspended {
		t.Errorf("%v", got)
	}
	must(t, s.RefuseKey(ctx, user, "nnnnnnnnnn", noon, "dead"))
	if got := inSet(t, s, user, narrow); got.KeyID != "" {
		t.Errorf("%v", got)
	}
	if got := lookup(t, s, user); got.KeyRefused || got.APIKey != "pppppppppp-x" {
		t.Errorf("the profile's: %#v", got)
	}
}

// A user who is not committed has no key stored, as there may never be such a one.
func TestNoKeyOfASetForNobody(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	lease := claimed(t, s, uuid.New(), "me")
	must(t, s.RecordUser(t.Context(), lease, uuid.New(), "nobody", true))
	if err := s.StoreKey(t.Context(), lease, setKey("nnnnnnnnnn", narrow)); !errors.Is(err, store.ErrNoUser) {
		t.Errorf("%v", err)
	}
	lost := withAccount(t, db, s)
	lost.Owner = "somebody else"
	if err := s.StoreKey(t.Context(), lost, setKey("nnnnnnnnnn", narrow)); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("%v", err)
	}
}

// Whoever can write into the database can't put the key of one set, or the profile's, into the place of another.
func TestKeysOpenOnlyInTheirSet(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := encrypting(t, db, keyA)
	lease := withAccount(t, db, s)
	user, ctx := lease.UserID, t.Context()
	must(t, s.StoreKey(ctx, lease, store.Key{Secret: "pppppppppp-x", ID: "pppppppppp"}))
	must(t, s.StoreKey(ctx, lease, setKey("nnnnnnnnnn", narrow)))
	must(t, s.StoreKey(ctx, lease, setKey("wwwwwwwwww", wide)))
	if stored := storetest.QueryAll[string](t, db, `select api_key from coderhook.keys`); strings.Contains(strings.Join(stored, " "), "-x") {
		t.Errorf("plain: %v", stored)
	}
	for _, from := range []string{`(select api_key from coderhook.keys where key_set = 'wide')`, `(select api_key from public.profiles where id = user_id)`} {
		db.Exec(t, `update coderhook.keys set api_key = `+from+` where key_set = 'narrow'`)
		if got := inSet(t, s, user, narrow); got.APIKey != "" || got.Encryption != store.Forged {
			t.Errorf("%s: %v, %v", from, got, got.Encryption)
		}
	}
}

// A rotation takes them along, and no encryption key is forgotten that one of them needs.
func TestReencryptKeysOfSets(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	old := encrypting(t, db, keyA)
	for _, id := range []string{"aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"} {
		lease := withAccount(t, db, old)
		must(t, old.StoreKey(t.Context(), lease, setKey(id, narrow)))
		must(t, old.StoreKey(t.Context(), lease, setKey(strings.ToUpper(id), wide)))
	}
	s := encrypting(t, db, keyB, keyA)
	if retired, err := s.RetireEncryptionKeys(t.Context()); err != nil || len(retired) > 0 {
		t.Errorf("forgotten: %v, %v", retired, err)
	}
	if census, err := s.EncryptionCensus(t.Context()); err != nil || census.Older != 6 {
		t.Errorf("%+v, %v", census, err)
	}
	written, after := 0, uuid.Nil
	for {
		done, err := s.ReencryptSets(t.Context(), store.Reencryption{}, after, 2)
		must(t, err)
		if written, after = written+done.Written, done.Last; done.Looked < 2 {
			break
		}
	}
	if retired, err := s.RetireEncryptionKeys(t.Context()); err != nil || len(retired) != 1 || written != 6 {
		t.Errorf("%d written; forgotten: %v, %v", written, retired, err)
	}
	only := encrypting(t, db, keyB)
	for _, user := range storetest.QueryAll[string](t, db, `select user_id::text from coderhook.keys`) {
		if got := inSet(t, only, uuid.MustParse(user), narrow); !strings.HasSuffix(got.APIKey, "-x") {
			t.Errorf("%v: %v", got, got.Encryption)
		}
	}
}
