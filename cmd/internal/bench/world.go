package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"time"

	"coderhook/cmd/internal/bench/load"
	"coderhook/coderclient/codertest"
	"coderhook/store"
	"coderhook/store/storetest/pgserver"
)

// world is what all the servers share.
type world struct {
	root    string // of the module
	dir     string // for what is built
	hookURL string // of the database, as coderhook
	authURL string // the same, as Supabase Auth
	coder   *codertest.Server
	secret  string // the hook's
	users   []load.User
	closers []func() error
}

// newWorld starts a database with so many users who have a key. The caller closes the world, also after an error.
func newWorld(ctx context.Context, root string, users int) (*world, error) {
	w := &world{root: root, secret: newSecret()}
	var err error
	if w.dir, err = os.MkdirTemp("", "coderhook-bench"); err != nil {
		return w, err
	}
	w.onClose(func() error { return os.RemoveAll(w.dir) })
	// TCP, as between machines; and Deno's driver would need another URL for a socket.
	postgres, err := pgserver.Start(ctx, pgserver.Options{TCP: true})
	if err != nil {
		return w, err
	}
	w.onClose(postgres.Stop)
	if err := w.prepare(ctx, postgres.URL("postgres"), users); err != nil {
		return w, err
	}
	w.coder = codertest.Start(codertest.ProfileNew)
	w.onClose(func() error { w.coder.Close(); return nil })
	return w, nil
}

func (w *world) prepare(ctx context.Context, adminURL string, users int) error {
	if err := pgserver.PrepareSupabase(ctx, adminURL); err != nil {
		return err
	}
	if _, err := store.Migrate(ctx, store.Config{URL: adminURL}); err != nil {
		return err
	}
	event, err := os.ReadFile(filepath.Join(w.root, "testdata/bench/event.json"))
	if err != nil {
		return err
	}
	function, err := os.ReadFile(filepath.Join(w.root, "testdata/bench/hook.sql"))
	if err != nil {
		return err
	}
	if w.users, err = newUsers(users, event, time.Now()); err != nil {
		return err
	}
	if err := seed(ctx, adminURL, w.users, string(function)); err != nil {
		return err
	}
	if w.hookURL, err = pgserver.LetIn(ctx, adminURL, "coderhook"); err != nil {
		return err
	}
	w.authURL, err = pgserver.LetIn(ctx, adminURL, "supabase_auth_admin")
	return err
}

func (w *world) onClose(do func() error) { w.closers = append(w.closers, do) }

// close ends what was started, the last first.
func (w *world) close() (err error) {
	for i := len(w.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, w.closers[i]())
	}
	return err
}

func newSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return "v1,whsec_" + base64.StdEncoding.EncodeToString(key)
}
