package store_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// encryptionKeys are as an operator makes them.
var keyA, keyB = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")),
	base64.StdEncoding.EncodeToString([]byte("fedcba9876543210fedcba9876543210"))

func encrypting(t testing.TB, db *storetest.DB, keys ...string) *store.Store {
	t.Helper()
	return storetest.Open(t, store.Config{URL: db.RoleURL("coderhook"), EncryptionKeys: keys})
}

func column(t testing.TB, db *storetest.DB, user uuid.UUID) string {
	t.Helper()
	return storetest.Query[string](t, db, `select api_key from public.profiles where id = $1`, user)
}

func write(t testing.TB, db *storetest.DB, user uuid.UUID, value string) {
	t.Helper()
	db.Exec(t, `insert into public.profiles (id, api_key) values ($1, $2) on conflict (id) do update set api_key = excluded.api_key`, user, value)
}

// wantFound checks how the key is found, and that nothing is where it can't be read.
func wantFound(t testing.TB, s *store.Store, user uuid.UUID, want store.Encryption, key string) {
	t.Helper()
	if got := lookup(t, s, user); got.Encryption != want || got.APIKey != key {
		t.Errorf("found %d and %q, want %d and %q", got.Encryption, got.APIKey, want, key)
	}
}

func TestKeysAreEncrypted(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := encrypting(t, db, keyA)
	lease := newUser(t, db, s)
	must(t, s.StoreKey(t.Context(), lease, newKey()))
	first := column(t, db, lease.UserID)
	if !strings.HasPrefix(first, "enc:v1:") || strings.Contains(first, secret) || len(first) != 106 {
		t.Errorf("stored %q", first)
	}
	wantFound(t, s, lease.UserID, store.Encrypted, secret)
	must(t, s.StoreKey(t.Context(), lease, newKey()))
	if column(t, db, lease.UserID) == first {
		t.Error("the same key twice is the same value")
	}
	old := newUser(t, db, s)
	write(t, db, old.UserID, secret)
	wantFound(t, s, old.UserID, store.Unencrypted, secret)
}

// What anybody can write who may write the column, and whoever has a dump besides.
func TestForgedValuesOpenNothing(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := encrypting(t, db, keyA)
	ada, bob := newUser(t, db, s), newUser(t, db, s)
	must(t, s.StoreKey(t.Context(), ada, newKey()))
	must(t, s.StoreKey(t.Context(), bob, newKey()))
	own, bobs := column(t, db, ada.UserID), column(t, db, bob.UserID)
	ends := strings.LastIndex(own, ":") + 1
	foreign := encrypting(t, storetest.New(t), keyB) // an attacker's own
	theirs := store.EncryptFor(foreign, ada.UserID, secret)
	for name, value := range map[string]string{
		"another user's":                bobs,
		"for another purpose":           store.EncryptForAnotherPurpose(s, ada.UserID, secret),
		"by a key that nobody used":     theirs,
		"by it, under our key's id":     own[:ends] + theirs[strings.LastIndex(theirs, ":")+1:],
		"cut short":                     own[:len(own)-4],
		"without its nonce":             own[:ends] + own[ends+16:],
		"with nothing in it":            own[:ends],
		"with another bit":              own[:ends] + flip(own[ends:ends+1]) + own[ends+1:],
		"not base64url":                 own[:ends] + "*" + own[ends+1:],
		"without an id":                 "enc:v1:" + own[ends:],
		"the mark alone":                "enc:",
		"huge":                          own + strings.Repeat("A", 1<<16),
		"of a version that is not ours": "enc:v9:0123456789abcdef:AAAA",
	} {
		write(t, db, ada.UserID, value)
		got := lookup(t, s, ada.UserID)
		if got.Encryption != store.Forged || got.APIKey != "" || got.Unreadable() == nil {
			t.Errorf("%s: %d, %q, %v", name, got.Encryption, got.APIKey, got.Unreadable())
		}
	}
	write(t, db, ada.UserID, own)
	wantFound(t, s, ada.UserID, store.Encrypted, secret)
}

func flip(letter string) string {
	if letter == "A" {
		return "B"
	}
	return "A"
}

// A value of a key that another replica has is neither read nor taken for a forged one.
func TestAKeyOfAnotherReplicaIsLocked(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	with := encrypting(t, db, keyA)
	lease := newUser(t, db, with)
	must(t, with.StoreKey(t.Context(), lease, newKey()))
	value := column(t, db, lease.UserID)
	for name, s := range map[string]*store.Store{"without any": db.Store(t), "with another": encrypting(t, db, keyB)} {
		wantFound(t, s, lease.UserID, store.Locked, "")
		if missing, err := s.MissingEncryptionKeys(t.Context()); err != nil || len(missing) != 1 || !strings.Contains(value, missing[0]) {
			t.Errorf("%s: missing %v, %v", name, missing, err)
		}
		wantErr(t, s.CheckEncryptionKeys(t.Context()), store.ErrEncryptionKeyMissing)
	}
	must(t, with.CheckEncryptionKeys(t.Context()))
	both := encrypting(t, db, keyB, keyA)
	wantFound(t, both, lease.UserID, store.Encrypted, secret)
	later := strings.Replace(value, ":v1:", ":v2:", 1) // of a program that is newer than this one
	write(t, db, lease.UserID, later)
	wantFound(t, with, lease.UserID, store.Locked, "")

	id := strings.Split(value, ":")[2]
	must(t, both.ForgetEncryptionKey(t.Context(), id))
	wantErr(t, both.ForgetEncryptionKey(t.Context(), id), store.ErrNotFound)
	write(t, db, lease.UserID, value)
	wantFound(t, db.Store(t), lease.UserID, store.Forged, "")
}

// Before the migration there is no place where anybody could have said that he encrypts.
func TestEncryptedValuesBeforeTheMigration(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.Exec(t, `drop table coderhook.encryption_keys`)
	s, with := db.Store(t), encrypting(t, db, keyA)
	lease := newUser(t, db, s)
	write(t, db, lease.UserID, "enc:v1:0123456789abcdef:AAAA")
	wantFound(t, s, lease.UserID, store.Forged, "")
	must(t, s.CheckEncryptionKeys(t.Context()))
	must(t, s.StoreKey(t.Context(), lease, newKey()))
	wantErr(t, with.StoreKey(t.Context(), lease, newKey()), store.ErrNotMigrated)
	wantErr(t, with.CheckEncryptionKeys(t.Context()), store.ErrNotMigrated) // or nobody would see why no key is stored
	wantFound(t, with, lease.UserID, store.Unencrypted, secret)
}

// With "plain" first a replica reads what others encrypt, and writes what others can read.
func TestWritingInPlain(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := encrypting(t, db, store.WriteInPlain, keyA)
	lease := newUser(t, db, s)
	must(t, s.StoreKey(t.Context(), lease, newKey()))
	if got := column(t, db, lease.UserID); got != secret {
		t.Errorf("stored %q", got)
	}
	must(t, encrypting(t, db, keyA).StoreKey(t.Context(), lease, newKey()))
	wantFound(t, s, lease.UserID, store.Encrypted, secret)
}

func TestPlainKeysCanBeRefused(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := storetest.Open(t, store.Config{URL: db.RoleURL("coderhook"), EncryptionKeys: []string{keyA}, RefusePlainKeys: true})
	lease := newUser(t, db, s)
	write(t, db, lease.UserID, secret)
	wantFound(t, s, lease.UserID, store.PlainRefused, "")
	write(t, db, lease.UserID, "")
	wantFound(t, s, lease.UserID, store.Unencrypted, "")
	must(t, s.StoreKey(t.Context(), lease, newKey()))
	wantFound(t, s, lease.UserID, store.Encrypted, secret)
	if none := uuid.New(); lookup(t, s, none).Unreadable() != nil {
		t.Error("a user without a profile has something that can't be read")
	}
}

func TestBadEncryptionKeys(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"": "is empty", "hunter2!": "is not base64", "c2hvcnQ=": "has 5 bytes; 32 random ones are needed", store.WriteInPlain: "",
	} {
		_, err := store.Open(t.Context(), store.Config{URL: "postgres://u@h/d", EncryptionKeys: []string{keyA, key}})
		if err == nil || !strings.Contains(err.Error(), "encryption key 2") || !strings.Contains(err.Error(), want) || key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// A trigger of the product's that touches what is stored is noticed as with plain keys.
func TestAnEncryptedKeyIsReadBack(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.Script(t, `create function shorten() returns trigger language plpgsql as $$ begin new.api_key := left(new.api_key, 40); return new; end $$;
		create trigger shorten before insert or update on public.profiles for each row execute function shorten()`)
	s := encrypting(t, db, keyA)
	lease := newUser(t, db, s)
	wantErr(t, s.StoreKey(t.Context(), lease, newKey()), store.ErrProfile)
	wantNothingStored(t, s, lease.UserID)
}

// README tells what else reads the column how to decrypt. This is done without anything of ours.
func TestTheFormatIsWhatReadmeTells(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := encrypting(t, db, keyA)
	lease := newUser(t, db, s)
	must(t, s.StoreKey(t.Context(), lease, newKey()))
	parts := strings.Split(column(t, db, lease.UserID), ":")
	key, err := base64.StdEncoding.DecodeString(keyA)
	must(t, err)
	id := sha256.Sum256([]byte("coderhook encryption key 1\n" + string(key)))
	if len(parts) != 4 || parts[2] != hex.EncodeToString(id[:8]) {
		t.Fatalf("stored %q", parts)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(parts[3])
	must(t, err)
	block, err := aes.NewCipher(key)
	must(t, err)
	gcm, err := cipher.NewGCM(block)
	must(t, err)
	opened, err := gcm.Open(nil, sealed[:12], sealed[12:], append([]byte("coderhook v1 profile\n"), lease.UserID[:]...))
	if err != nil || string(opened) != secret {
		t.Errorf("%q, %v", opened, err)
	}
}
