package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"time"

	"coderhook/cmd/internal/process"
	"coderhook/cmd/internal/selfsigned"
	"coderhook/coderclient/codertest"
	"coderhook/store"
	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
)

// world is a server, and what it needs.
type world struct {
	dir     string
	binary  string
	pair    selfsigned.Pair
	hookURL string // of the database
	coder   *codertest.Server
	secret  string // the hook's
	user    uuid.UUID
	closers []func() error
}

// newWorld starts a database and Coder. The caller closes the world, also after an error.
func newWorld(ctx context.Context) (*world, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	w := &world{secret: "v1,whsec_" + base64.StdEncoding.EncodeToString(key), user: uuid.New()}
	root, err := process.Root(ctx)
	if err != nil {
		return w, err
	}
	if w.dir, err = os.MkdirTemp("", "coderhook-siege"); err != nil {
		return w, err
	}
	w.onClose(func() error { return os.RemoveAll(w.dir) })
	w.binary = filepath.Join(w.dir, "coderhook")
	if err := process.Build(ctx, root, "./cmd/coderhook", w.binary); err != nil {
		return w, err
	}
	if w.pair, err = selfsigned.Write(w.dir, "127.0.0.1", time.Now().Add(24*time.Hour)); err != nil {
		return w, err
	}
	w.coder = codertest.Start(codertest.ProfileNew)
	w.onClose(func() error { w.coder.Close(); return nil })
	return w, w.startDatabase(ctx)
}

func (w *world) startDatabase(ctx context.Context) error {
	postgres, err := pgserver.Start(ctx, pgserver.Options{})
	if err != nil {
		return err
	}
	w.onClose(postgres.Stop)
	adminURL := postgres.URL("postgres")
	if err := pgserver.PrepareSupabase(ctx, adminURL); err != nil {
		return err
	}
	if _, err := store.Migrate(ctx, store.Config{URL: adminURL}); err != nil {
		return err
	}
	if _, err := pgserver.AddUser(ctx, adminURL, w.user, w.email()); err != nil {
		return err
	}
	w.hookURL, err = pgserver.LetIn(ctx, adminURL, "coderhook")
	return err
}

func (w *world) email() string { return "ada@example.com" }

// serve starts a server of its own for an attack, so that none suffers from the one before.
func (w *world) serve(ctx context.Context, extra ...string) (*process.Server, error) {
	return process.Serve(ctx, w.binary, append([]string{
		"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "DRAIN_DELAY=0s", "LOG_LEVEL=info",
		"DATABASE_URL=" + w.hookURL, "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS=" + w.secret,
		"CODER_URL=" + w.coder.URL, "CODER_OWNER_TOKEN=" + w.coder.OwnerToken,
		"TLS_CERT_FILE=" + w.pair.Cert, "TLS_KEY_FILE=" + w.pair.Key,
		"GOGC=" + os.Getenv("GOGC"), "GOMEMLIMIT=" + os.Getenv("GOMEMLIMIT"),
	}, extra...))
}

func (w *world) onClose(do func() error) { w.closers = append(w.closers, do) }

// close ends what was started, the last first.
func (w *world) close() (err error) {
	for i := len(w.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, w.closers[i]())
	}
	return err
}
