package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// encryptionKey is one as `openssl rand -base64 32` makes it.
func encryptionKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

func encryptedWith(keys ...string) map[string]string {
	return map[string]string{"KEY_ENCRYPTION_KEYS": strings.Join(keys, "|")}
}

func storedKey(t *testing.T, db *storetest.DB, user uuid.UUID) string {
	t.Helper()
	return storetest.Query[string](t, db, `select api_key from public.profiles where id = $1`, user)
}

// There, on to another key, and back.
func TestRotateKeysCommand(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, cmdtest.Coder(t))
	db, coder := w.DB, w.Coder
	p := cmdtest.Start(t, db, coder)
	ada, strange := db.AddUser(t, "ada@example.com"), db.AddUser(t, "old@example.com")
	key, _, err := p.Mint(t.Context(), http.DefaultClient, ada, "ada@example.com")
	if err != nil || key == "" {
		t.Fatalf("%q, %v", key, err)
	}
	cmdtest.Eventually(t, "the key is stored", func() bool {
		return storetest.Query[bool](t, db, `select exists (select from public.profiles where api_key <> '')`)
	})
	p.Stop(t)
	db.Exec(t, `insert into public.profiles (id, api_key) values ($1, $2)`, strange, cmdtest.Token)
	a, b := encryptionKey(), encryptionKey()
	run := func(keys map[string]string, wantErr string, wantOut []string, args ...string) {
		t.Helper()
		out, err := upkeepCommand(t, db, coder, keys, append([]string{"rotate-keys"}, args...)...)
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%v: %v", args, err)
		}
		for _, want := range wantOut {
			if !strings.Contains(out, want) {
				t.Errorf("%v: %q is not in\n%s", args, want, out)
			}
		}
		if strings.Contains(out, key) || strings.Contains(out, a) || strings.Contains(out, b) {
			t.Error("a key is printed")
		}
	}
	finds := func(keys map[string]string, want string) {
		t.Helper()
		w.Variables["KEY_ENCRYPTION_KEYS"] = keys["KEY_ENCRYPTION_KEYS"]
		found := ""
		for _, f := range w.Doctor(t) {
			if f.Check == "encryption of keys" {
				found += string(f.Result) + " " + f.Found + " (" + f.Cure + ")\n"
			}
		}
		if !strings.Contains(found, want) || (want == "") != (found == "") {
			t.Errorf("doctor: %q, want %q", found, want)
		}
	}
	run(nil, "KEY_ENCRYPTION_KEYS does not begin with a key", nil)
	run(encryptedWith("plain", a), "KEY_ENCRYPTION_KEYS does not begin with a key", nil)
	finds(nil, "")
	finds(encryptedWith("plain", a), "")
	finds(encryptedWith(a), "warning 2 keys are not encrypted")
	run(encryptedWith(a), "", []string{"2 keys are plain, 0 encrypted", "1 keys would be encrypted with the newest key", "1 plain ones are left"}, "--dry-run")
	if storedKey(t, db, ada) != key {
		t.Error("a dry run encrypts")
	}
	run(encryptedWith(a), "", []string{"1 keys encrypted with the newest key.", "1 plain ones are left"})
	first := storedKey(t, db, ada)
	if !strings.HasPrefix(first, "enc:v1:") || storedKey(t, db, strange) != cmdtest.Token {
		t.Errorf("stored %q and %q", first, storedKey(t, db, strange))
	}
	id := strings.Split(first, ":")[2]
	db.Exec(t, `delete from public.profiles where id = $1`, strange)
	finds(encryptedWith(a), "")
	finds(nil, "failure 1 keys are encrypted with "+id)
	finds(encryptedWith("plain", a), "warning KEY_ENCRYPTION_KEYS begins with plain")
	finds(encryptedWith(b, a), "warning 1 keys are encrypted with a key that is being replaced")
	run(encryptedWith(b), "1 keys can't be read", []string{"1 are encrypted with " + id + ", which is not in KEY_ENCRYPTION_KEYS"})
	for _, args := range [][]string{{"reconcile"}, {"revoke", "--user", ada.String()}} {
		if _, err := upkeepCommand(t, db, coder, nil, args...); !errors.Is(err, store.ErrEncryptionKeyMissing) {
			t.Errorf("%v without the key: %v", args, err)
		}
	}
	run(encryptedWith(b, a), "", []string{"0 encrypted with the newest key, 1 with others", "1 keys encrypted with the newest key.", "Nothing is encrypted any more with " + id})
	finds(encryptedWith(b), "")
	second := storedKey(t, db, ada)

	run(encryptedWith("plain", b), "", []string{"1 keys written in plain."}, "--decrypt")
	if storedKey(t, db, ada) != key {
		t.Errorf("stored %q", storedKey(t, db, ada))
	}
	finds(nil, "")

	finds(encryptedWith("plain", base64.StdEncoding.EncodeToString([]byte(strings.Repeat("ab", 16)))), "warning key 2 looks like text or a pattern")

	// An encryption key that is lost.
	db.Exec(t, `update public.profiles set api_key = $1`, second)
	finds(encryptedWith(a), "warning 1 rows name an encryption key that nobody has") // as it was given up above
	run(encryptedWith(b), "", nil)
	db.Exec(t, `insert into coderhook.encryption_keys (id) values ($1)`, strings.Split(second, ":")[2])
	finds(encryptedWith(a), "failure 1 keys are encrypted with")
	run(encryptedWith(a), "--yes", nil, "--forget", strings.Split(second, ":")[2])
	run(encryptedWith(a), "", []string{"Forgotten"}, "--forget", strings.Split(second, ":")[2], "--yes")
	run(encryptedWith(a), "no encryption key with the id", nil, "--forget", strings.Split(second, ":")[2], "--yes")
	db.Exec(t, `alter table public.profiles alter column api_key type varchar(106)`)
	finds(encryptedWith(b), "")
	db.Exec(t, `update public.profiles set api_key = null`)
	db.Exec(t, `alter table public.profiles alter column api_key type varchar(105)`)
	finds(encryptedWith(b), `failure column "api_key" is character varying(105)`)
}

// What an operator sees of a replica without the encryption key, and of keys that are not encrypted yet.
func TestEncryptionIsWatched(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	a := encryptionKey()
	with := cmdtest.Start(t, db, coder, "KEY_ENCRYPTION_KEYS="+a, "ADMIN_ADDR=127.0.0.1:0")
	without := cmdtest.Start(t, db, coder)
	with.Becomes(t, `"encryption":"ok"`)
	without.Becomes(t, `"encryption":"ok"`)
	ada := db.AddUser(t, "ada@example.com")
	key, _, err := with.Mint(t.Context(), http.DefaultClient, ada, "ada@example.com")
	if err != nil || key == "" {
		t.Fatalf("%q, %v", key, err)
	}
	without.Becomes(t, `"encryption":"degraded"`)
	with.Becomes(t, `"encryption":"ok"`)
	late := cmdtest.Start(t, db, coder)
	cmdtest.Eventually(t, "a start without the encryption key says so", func() bool {
		return strings.Contains(late.Log(), "go out without them")
	})
	if key, status, err := without.Mint(t.Context(), http.DefaultClient, ada, "ada@example.com"); key != "" || status != "unavailable" || err != nil {
		t.Errorf("%q, %q, %v", key, status, err)
	}
	for keys, want := range map[string][]string{
		a:               {"key " + key[:10] + ", encrypted", "carries the key " + key[:10]},
		encryptionKey(): {"answers unavailable, and leaves everything as it is"},
	} {
		variables := map[string]string{"KEY_ENCRYPTION_KEYS": keys, "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS": cmdtest.Secret}
		out, err := upkeepCommand(t, db, coder, variables, "explain", "--user", ada.String())
		for _, part := range want {
			if err != nil || !strings.Contains(out, part) || strings.Contains(out, key) {
				t.Errorf("%v: %q is not in\n%s", err, part, out)
			}
		}
	}
	db.Exec(t, `insert into public.profiles (id, api_key) values ($1, $2)`, db.AddUser(t, "bob@example.com"), cmdtest.Token)
	counting := cmdtest.Start(t, db, coder, "KEY_ENCRYPTION_KEYS="+a, "ADMIN_ADDR=127.0.0.1:0")
	cmdtest.Eventually(t, "plain keys are counted", func() bool {
		return strings.Contains(cmdtest.Get(t, "http://"+counting.Admin+"/metrics"), "\ncoderhook_plain_keys 1\n")
	})
	cmdtest.Eventually(t, "the log tells of them", func() bool { return strings.Contains(counting.Log(), "not all keys are encrypted") })
}
