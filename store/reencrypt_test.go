package store_test

import (
	"fmt"
	"strings"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// reencrypt goes through all in small batches, and adds up.
func reencrypt(t *testing.T, s *store.Store, r store.Reencryption) (sum store.Reencrypted) {
	t.Helper()
	for {
		done, err := s.Reencrypt(t.Context(), r, sum.Last, 2)
		must(t, err)
		sum.Last = done.Last
		sum.Written, sum.Strange = sum.Written+done.Written, sum.Strange+done.Strange
		sum.Unreadable, sum.Busy = sum.Unreadable+done.Unreadable, sum.Busy+done.Busy
		if done.Looked < 2 {
			sum.Last = uuid.Nil
			return sum
		}
	}
}

func wantReencrypted(t *testing.T, got, want store.Reencrypted) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// numbered is a key of its own for each.
func numbered(n int) store.Key {
	id := fmt.Sprintf("key%07d", n)
	return store.Key{Secret: id + "-0123456789abcdefghijkl", ID: id}
}

func TestReencrypting(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	plain, a, ba := db.Store(t), encrypting(t, db, keyA), encrypting(t, db, keyB, keyA)
	var users []uuid.UUID
	for n := range 5 {
		lease := newUser(t, db, plain)
		must(t, plain.StoreKey(t.Context(), lease, numbered(n)))
		users = append(users, lease.UserID)
	}
	wantAll := func(s *store.Store, how store.Encryption) {
		t.Helper()
		for n, user := range users {
			wantFound(t, s, user, how, numbered(n).Secret)
		}
	}
	_, err := plain.Reencrypt(t.Context(), store.Reencryption{}, uuid.Nil, 2)
	wantErr(t, err, store.ErrNothingToEncryptWith)
	wantReencrypted(t, reencrypt(t, a, store.Reencryption{Dry: true}), store.Reencrypted{Written: 5})
	wantAll(a, store.Unencrypted)
	wantReencrypted(t, reencrypt(t, a, store.Reencryption{}), store.Reencrypted{Written: 5})
	wantAll(a, store.Encrypted)
	wantReencrypted(t, reencrypt(t, a, store.Reencryption{}), store.Reencrypted{})
	wantReencrypted(t, reencrypt(t, ba, store.Reencryption{}), store.Reencrypted{Written: 5})
	wantAll(encrypting(t, db, keyB), store.Encrypted)
	retired, err := ba.RetireEncryptionKeys(t.Context())
	if err != nil || len(retired) != 1 {
		t.Errorf("%v, %v", retired, err)
	}
	must(t, encrypting(t, db, keyB).CheckEncryptionKeys(t.Context()))
	wantReencrypted(t, reencrypt(t, a, store.Reencryption{}), store.Reencrypted{Unreadable: 5})
	wantReencrypted(t, reencrypt(t, ba, store.Reencryption{Decrypt: true}), store.Reencrypted{Written: 5})
	wantAll(plain, store.Unencrypted)
}

// What was planted is not given our stamp, and what can't be read stays for its user's next mint.
func TestReencryptingVouchesForNothing(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	plain, s := db.Store(t), encrypting(t, db, keyA)
	values := map[uuid.UUID]string{}
	add := func(do func(store.Lease)) {
		lease := newUser(t, db, plain)
		do(lease)
		values[lease.UserID] = column(t, db, lease.UserID)
	}
	add(func(l store.Lease) { write(t, db, l.UserID, secret) }) // nobody knows of it
	add(func(l store.Lease) {
		must(t, plain.StoreKey(t.Context(), l, newKey()))
		write(t, db, l.UserID, numbered(1).Secret) // beside the user's own
	})
	add(func(l store.Lease) {
		must(t, plain.StoreKey(t.Context(), l, newKey()))
		must(t, plain.Revoke(t.Context(), l, noon, "root", "lost"))
	})
	add(func(l store.Lease) { write(t, db, l.UserID, store.EncryptFor(s, uuid.New(), secret)) }) // another's
	add(func(l store.Lease) { write(t, db, l.UserID, "enc:v1:0123456789abcdef:AAAA") })
	wantReencrypted(t, reencrypt(t, s, store.Reencryption{}), store.Reencrypted{Strange: 3, Unreadable: 1})
	wantReencrypted(t, reencrypt(t, s, store.Reencryption{Decrypt: true}), store.Reencrypted{Unreadable: 2})
	for user, value := range values {
		if got := column(t, db, user); got != value {
			t.Errorf("%q became %q", value, got)
		}
	}
}

// A sign-in that holds its row is not waited for, and neither is it kept waiting.
func TestReencryptingPassesBusyRows(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	plain, s := db.Store(t), encrypting(t, db, keyA)
	var leases []store.Lease
	for n := range 2 {
		leases = append(leases, newUser(t, db, plain))
		must(t, plain.StoreKey(t.Context(), leases[n], numbered(n)))
	}
	tx := db.Begin(t)
	tx.Exec(t, `update public.profiles set api_key = api_key where id = $1`, leases[0].UserID)
	wantReencrypted(t, reencrypt(t, s, store.Reencryption{}), store.Reencrypted{Written: 1, Busy: 1})
	tx.Exec(t, "commit")
	wantFound(t, s, leases[0].UserID, store.Unencrypted, numbered(0).Secret)
	wantReencrypted(t, reencrypt(t, s, store.Reencryption{}), store.Reencrypted{Written: 1})
	wantFound(t, s, leases[0].UserID, store.Encrypted, numbered(0).Secret)
}

// A table that keeps or changes what is written loses no key by it.
func TestReencryptingIsReadBack(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	plain, s := db.Store(t), encrypting(t, db, keyA)
	lease := newUser(t, db, plain)
	must(t, plain.StoreKey(t.Context(), lease, newKey()))
	db.Script(t, `create function shorten() returns trigger language plpgsql as $$ begin new.api_key := left(new.api_key, 40); return new; end $$;
		create trigger shorten before update on public.profiles for each row execute function shorten()`)
	_, err := s.Reencrypt(t.Context(), store.Reencryption{}, uuid.Nil, 10)
	wantErr(t, err, store.ErrProfile)
	if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "enc:") {
		t.Error(err)
	}
	db.Exec(t, `drop trigger shorten on public.profiles`)
	wantFound(t, s, lease.UserID, store.Unencrypted, secret)
	db.Exec(t, `alter table public.profiles alter column api_key type varchar(40)`)
	_, err = s.Reencrypt(t.Context(), store.Reencryption{}, uuid.Nil, 10)
	wantErr(t, err, store.ErrProfile)
	wantFound(t, s, lease.UserID, store.Unencrypted, secret)
}

func TestEncryptionCensus(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	plain, a, ba := db.Store(t), encrypting(t, db, keyA), encrypting(t, db, keyB, keyA)
	for n, s := range []*store.Store{plain, a, a, ba} {
		must(t, s.StoreKey(t.Context(), newUser(t, db, s), numbered(n)))
	}
	forged, empty := newUser(t, db, plain), newUser(t, db, plain)
	write(t, db, forged.UserID, "enc:v1:0123456789abcdef:AAAA")
	write(t, db, empty.UserID, "")
	missing, err := plain.MissingEncryptionKeys(t.Context())
	must(t, err)
	if len(missing) != 2 {
		t.Fatalf("missing %v", missing)
	}
	for name, test := range map[string]struct {
		s    *store.Store
		want store.EncryptionCensus
	}{
		"with both":     {ba, store.EncryptionCensus{Plain: 1, Newest: 1, Older: 2, Nobodys: 1, Missing: map[string]int{}}},
		"with the old":  {a, store.EncryptionCensus{Plain: 1, Newest: 2, Nobodys: 1, Missing: map[string]int{missing[1]: 1}}},
		"with none":     {plain, store.EncryptionCensus{Plain: 1, Nobodys: 1, Missing: map[string]int{missing[0]: 2, missing[1]: 1}}},
		"back to plain": {encrypting(t, db, store.WriteInPlain, keyB, keyA), store.EncryptionCensus{Plain: 1, Older: 3, Nobodys: 1, Missing: map[string]int{}}},
	} {
		got, err := test.s.EncryptionCensus(t.Context())
		must(t, err)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
