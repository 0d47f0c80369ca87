package pgserver

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestMain makes this binary a program that starts a server and waits to be killed,
// for the test that does so.
func TestMain(m *testing.M) {
	dir := os.Getenv("PGSERVER_TEST_DIR")
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.URL("postgres"))
	select {}
}

func query(t *testing.T, databaseURL, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var value string
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(s.dir.path); !os.IsNotExist(err) {
		t.Errorf("directory is still there: %v", err)
	}
	select {
	case <-s.process.done:
	default:
		t.Error("process is still there")
	}
}

func TestTCPWantsThePassword(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{TCP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, s)
	if got := query(t, s.URL("postgres"), `select host(inet_server_addr())`); got != "127.0.0.1" {
		t.Errorf("listens on %s", got)
	}
	u, err := url.Parse(s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(superuser, "guessed")
	if conn, err := pgx.Connect(t.Context(), u.String()); err == nil {
		conn.Close(t.Context())
		t.Error("anybody on this machine may become the superuser")
	}
}

func TestAServerThatCannotStart(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	for _, program := range []string{"initdb", "postgres"} {
		script := "#!/bin/sh\ntest \"$1\" = --version || { echo the disk is on fire >&2; exit 1; }\n"
		if err := os.WriteFile(filepath.Join(bin, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	_, err := Start(t.Context(), Options{BinDir: bin, Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "the disk is on fire") {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestStartObeysItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := Start(ctx, Options{}); err == nil {
		t.Error("started")
		stop(t, s)
	}
}

func TestPrepareSupabase(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, s)
	if err := PrepareSupabase(t.Context(), s.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	const rights = `select has_table_privilege('product_admin', 'auth.users', 'select')
		|| ' ' || has_table_privilege('product_admin', 'auth.users', 'select with grant option')
		|| ' ' || rolsuper from pg_roles where rolname = 'product_admin'`
	if got := query(t, s.URL("postgres"), rights); got != "true false false" {
		t.Errorf("reads users, may grant that, is superuser: got %s", got)
	}
}

// kill -9 of the program must not leave a server, nor for long a directory.
func TestAServerDiesWithItsProgram(t *testing.T) {
	t.Parallel()
	if !diesWithParent {
		t.Skip("only Linux tells a child of its parent's death")
	}
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), "PGSERVER_TEST_DIR="+dir)
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	databaseURL, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	databaseURL = strings.TrimSpace(databaseURL)
	query(t, databaseURL, `select 'up'`)
	sweep(dir)
	query(t, databaseURL, `select 'not swept while in use'`)

	if err := program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = program.Wait() // killed
	deadline := time.After(2 * time.Minute)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		conn, err := pgx.Connect(t.Context(), databaseURL)
		if err != nil {
			break
		}
		conn.Close(t.Context())
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("server is still there")
		}
	}
	sweep(dir)
	if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
