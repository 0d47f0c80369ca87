package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"coderhook/cmd/internal/process"
	"coderhook/coderclient/codertest"
	"coderhook/store"
	"coderhook/store/storetest/pgserver"
)

// stack is all that runs on this machine.
type stack struct {
	getenv func(string) string
	out    *report
	root   string // of the module: the program is built from it

	adminURL    string // of the database
	databaseURL string // the same database; of the throwaway one, with the rights of the server only
	coderToken  string
	proxy       *coderProxy
	secret      string // of the hook
	server      *server
	event       []byte // the sample request's body
	closers     []func() error
}

func newStack(ctx context.Context, getenv func(string) string, out io.Writer) (*stack, error) {
	root, err := process.Root(ctx)
	if err != nil {
		return nil, err
	}
	s := &stack{getenv: getenv, out: &report{w: out}, root: root}
	s.secret = getenv("CUSTOM_ACCESS_TOKEN_HOOK_SECRETS")
	if s.secret == "" {
		s.secret, err = rememberedSecret()
	}
	return s, err
}

func (s *stack) start(ctx context.Context) error {
	s.out.title("coderhook, with everything around it on this machine")
	for _, step := range []func(context.Context) error{s.startDatabase, s.migrate, s.startCoder, s.startServer} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close ends what was started, the last first.
func (s *stack) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i](); err != nil {
			fmt.Fprintf(os.Stderr, "coderhook-dev: %v\n", err)
		}
	}
}

func (s *stack) startDatabase(ctx context.Context) error {
	done := s.out.step("PostgreSQL")
	if s.adminURL = s.getenv("DATABASE_URL"); s.adminURL != "" {
		if err := (store.Config{URL: s.adminURL}).CheckURL(); err != nil { // the driver's own error would show what is in it
			return fmt.Errorf("DATABASE_URL: %w", err)
		}
		done(hostOf(s.adminURL) + " (DATABASE_URL)")
		return nil
	}
	postgres, err := pgserver.Start(ctx, pgserver.Options{})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, postgres.Stop)
	s.adminURL = postgres.URL("postgres")
	if err := pgserver.PrepareSupabase(ctx, s.adminURL); err != nil {
		return err
	}
	done("throwaway, with Supabase's roles and auth.users")
	return nil
}

func (s *stack) migrate(ctx context.Context) error {
	done := s.out.step("migrations")
	result, err := store.Migrate(ctx, store.Config{
		URL: s.adminURL, ProfilesTable: s.getenv("PROFILES_TABLE"),
		ProfilesIDColumn: s.getenv("PROFILES_ID_COLUMN"), ProfilesKeyColumn: s.getenv("PROFILES_KEY_COLUMN"),
	})
	if err != nil {
		return err
	}
	s.databaseURL = s.adminURL
	if s.getenv("DATABASE_URL") == "" {
		if s.databaseURL, err = pgserver.LetIn(ctx, s.adminURL, "coderhook"); err != nil {
			return err
		}
	}
	done(fmt.Sprintf("%d files applied", len(result.Files)))
	return nil
}

func (s *stack) startCoder(context.Context) error {
	done := s.out.step("Coder")
	address, what := s.getenv("CODER_URL"), "real (CODER_URL)"
	s.coderToken = s.getenv("CODER_OWNER_TOKEN")
	if address == "" {
		fake := codertest.Start(codertest.ProfileV231)
		s.closers = append(s.closers, func() error { fake.Close(); return nil })
		address, s.coderToken, what = fake.URL, fake.OwnerToken, "fake, like version 2.31; it starts empty, so keys of earlier fakes are dead"
	}
	target, err := url.Parse(address)
	if err != nil || target.Host == "" {
		return errors.New("CODER_URL: is not a URL like https://coder.example.com")
	}
	if s.proxy, err = startProxy(target); err != nil {
		return err
	}
	s.closers = append(s.closers, s.proxy.close)
	done(address + "  " + what)
	return nil
}

func (s *stack) startServer(ctx context.Context) error {
	done := s.out.step("coderhook")
	binary := filepath.Join(os.TempDir(), "coderhook-dev-"+rand.Text()[:8])
	if err := process.BuildHere(ctx, s.root, "./cmd/coderhook", binary, s.out.progress("compiling")); err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { return os.Remove(binary) })
	var err error
	s.server, err = startServer(ctx, binary, append(withoutOurs(os.Environ()),
		"LISTEN_ADDR="+cmp.Or(s.getenv("LISTEN_ADDR"), ":8787"),
		"ADMIN_ADDR="+cmp.Or(s.getenv("ADMIN_ADDR"), "127.0.0.1:0"),
		"DATABASE_URL="+s.databaseURL,
		"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS="+s.secret,
		"CODER_URL="+s.proxy.url,
		"CODER_OWNER_TOKEN="+s.coderToken,
		"LOG_FORMAT=json", "LOG_LEVEL="+s.logLevel(),
		"DRAIN_DELAY="+cmp.Or(s.getenv("DRAIN_DELAY"), "0s"),
	))
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.server.stop)
	done("http://" + s.server.address() + "  built and started")
	return nil
}

// withoutOurs drops secrets in files: what we set ourselves would be a second value for them.
func withoutOurs(environ []string) []string {
	return slices.DeleteFunc(environ, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == "DATABASE_URL_FILE" || name == "CODER_OWNER_TOKEN_FILE" || name == "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS_FILE"
	})
}

// logLevel is at least info, as we read that part of the log.
func (s *stack) logLevel() string {
	if level := s.getenv("LOG_LEVEL"); level == "debug" || level == "trace" {
		return level
	}
	return "info"
}

// wait keeps serving, with the server's log on the terminal.
func (s *stack) wait(ctx context.Context) error {
	s.server.showLog(s.out.w)
	select {
	case <-ctx.Done():
		s.out.line("\nstopping")
		return nil
	case <-s.server.Ended:
		return errors.New("coderhook ended by itself; its log is above")
	}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "of DATABASE_URL"
	}
	return cmp.Or(u.Host, u.Query().Get("host")) + u.Path
}
