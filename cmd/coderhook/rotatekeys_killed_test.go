package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// addKeys gives so many users an account and a key that have been there for long.
func addKeys(t *testing.T, db *storetest.DB, coder *codertest.Server, users int) map[uuid.UUID]string {
	t.Helper()
	keys := make(map[uuid.UUID]string, users)
	for range users {
		user := db.AddUser(t, "")
		name := user.String()[:8]
		made := coder.AddUser(name, name+"@example.com", "none")
		key := coder.AddToken(name, "supabase-"+name, 6*24*time.Hour)
		keys[user] = key.Whole
		db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, coder_username, key_id, key_expires_at, status)
			values ($1, $2, $3, $4, now() + interval '6 days', 'active')`, user, made.ID, name, key.ID)
		db.Exec(t, `insert into public.profiles (id, api_key) values ($1, $2)`, user, key.Whole)
	}
	return keys
}

// rotate-keys is killed in the middle, again and again, and runs beside others that go elsewhere, while people sign in:
// nobody's key is lost or another, and one run more does all that is left.
func TestRotateKeysIsKilled(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	binary, err := cmdtest.Build()
	if err != nil {
		t.Fatal(err)
	}
	keys := addKeys(t, db, coder, 3*rotationBatch)
	a, b := encryptionKey(), encryptionKey()
	f := newFleet(t, db, coder)
	f.add("", "KEY_ENCRYPTION_KEYS="+a+"|"+b)
	f.add("", "KEY_ENCRYPTION_KEYS="+b+"|"+a)
	_, end := underLoad(t, db, 3, 10, f.signIn)
	stored := func() string {
		return fmt.Sprint(storetest.QueryAll[string](t, db, `select split_part(api_key, ':', 3) || ' ' || count(*) from public.profiles group by split_part(api_key, ':', 3)`))
	}
	for range 4 {
		var all sync.WaitGroup
		for keys, flag := range map[string]string{a + "|" + b: "", b + "|" + a: "", "plain|" + b + "|" + a: "--decrypt"} {
			command := exec.CommandContext(t.Context(), binary, strings.Fields("rotate-keys "+flag)...)
			command.Env = []string{"DATABASE_URL=" + db.RoleURL("coderhook"), "KEY_ENCRYPTION_KEYS=" + keys}
			before := stored()
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			all.Go(func() { _ = command.Wait() })
			cmdtest.Eventually(t, "it has begun", func() bool { return stored() != before })
			_ = command.Process.Kill()
		}
		all.Wait()
	}
	end()
	if out, err := upkeepCommand(t, db, coder, encryptedWith(b, a), "rotate-keys"); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	for user, key := range keys {
		if !strings.HasPrefix(storedKey(t, db, user), "enc:v1:") {
			t.Errorf("stored %.20s", storedKey(t, db, user))
		}
		for _, replica := range f.replicas {
			if got, status, err := replica.Mint(t.Context(), http.DefaultClient, user, user.String()[:8]+"@example.com"); err != nil || got != key {
				t.Fatalf("had %.10s, gets %.10s, %s, %v", key, got, status, err)
			}
		}
		f.keys[user] = key
	}
	f.wantOneKeyEach()
}
