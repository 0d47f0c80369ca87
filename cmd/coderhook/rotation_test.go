package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"coderhook/cmd/internal/config"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

const newSecret = "v1,whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY="

// underLoad has users sign in, one time after the other, until end is called: none may fail. some waits for enough more.
func underLoad(t *testing.T, db *storetest.DB, users, enough int, signIn func(context.Context, uuid.UUID, string) error) (some, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var mints atomic.Int64
	var load sync.WaitGroup
	for range users {
		user := db.AddUser(t, "")
		load.Go(func() {
			for ctx.Err() == nil {
				if err := signIn(ctx, user, user.String()[:8]+"@example.com"); err != nil && ctx.Err() == nil {
					t.Errorf("a sign-in failed: %v", err)
				}
				mints.Add(1)
			}
		})
	}
	some = func() {
		from := mints.Load()
		eventually(t, "some mints", func() bool { return mints.Load() > from+int64(enough) })
	}
	end = func() { cancel(); load.Wait() }
	t.Cleanup(end)
	return some, end
}

// A hook secret is rotated in four steps, none of which fails a sign-in: the server learns the new one,
// Supabase Auth signs with both, then with the new one only, and the server forgets the old one.
func TestSecretIsRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), startCoder(t)
	type side struct {
		server  *served
		secrets string // that Supabase Auth signs with
	}
	serverWith := func(secrets string) *served {
		return startServe(t, db, coder, config.SecretsVariable+"="+secrets)
	}
	var now atomic.Pointer[side]
	now.Store(&side{serverWith(goodSecret), goodSecret})

	some, end := underLoad(t, db, 4, 50, func(ctx context.Context, user uuid.UUID, email string) error {
		s := now.Load()
		_, _, err := s.server.mintSigned(ctx, http.DefaultClient, s.secrets, user, email)
		return err
	})
	some()
	both := serverWith(goodSecret + "|" + newSecret)
	for _, step := range []side{
		{both, goodSecret},
		{both, goodSecret + "|" + newSecret},
		{both, newSecret},
		{serverWith(newSecret), newSecret},
	} {
		now.Store(&step)
		some()
	}
	end()
	if _, _, err := now.Load().server.mint(t.Context(), http.DefaultClient, db.AddUser(t, "ada@example.com"), "ada@example.com"); err == nil {
		t.Error("the old secret is still accepted")
	}
}
