package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"coderhook/cmd/internal/cmdtest"
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
		cmdtest.Eventually(t, "some mints", func() bool { return mints.Load() > from+int64(enough) })
	}
	end = func() { cancel(); load.Wait() }
	t.Cleanup(end)
	return some, end
}

// A hook secret is rotated in four steps, none of which fails a sign-in: the server learns the new one,
// Supabase Auth signs with both, then with the new one only, and the server forgets the old one.
func TestSecretIsRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	type side struct {
		server  *cmdtest.Server
		secrets string // that Supabase Auth signs with
	}
	serverWith := func(secrets string) *cmdtest.Server {
		return cmdtest.Start(t, db, coder, config.SecretsVariable+"="+secrets)
	}
	var now atomic.Pointer[side]
	now.Store(&side{serverWith(cmdtest.Secret), cmdtest.Secret})

	some, end := underLoad(t, db, 4, 50, func(ctx context.Context, user uuid.UUID, email string) error {
		s := now.Load()
		_, _, err := s.server.MintSigned(ctx, http.DefaultClient, s.secrets, user, email)
		return err
	})
	some()
	both := serverWith(cmdtest.Secret + "|" + newSecret)
	for _, step := range []side{
		{both, cmdtest.Secret},
		{both, cmdtest.Secret + "|" + newSecret},
		{both, newSecret},
		{serverWith(newSecret), newSecret},
	} {
		now.Store(&step)
		some()
	}
	end()
	if _, _, err := now.Load().server.Mint(t.Context(), http.DefaultClient, db.AddUser(t, "ada@example.com"), "ada@example.com"); err == nil {
		t.Error("the old secret is still accepted")
	}
}
