// Package pgserver runs throwaway PostgreSQL servers for tests and for the local
// stack: from installed binaries or downloaded ones, also as root, which
// PostgreSQL itself refuses. A server's data does not outlive it.
package pgserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
)

const superuser = "postgres"

// Options say how to run a server. The zero value is good for tests.
type Options struct {
	Dir string    // parent of the server's own directory; default memory or the system's for temporary files
	Log io.Writer // PostgreSQL's log; nil drops it
	TCP bool      // listen on a free loopback port, instead of a Unix socket; always so on Windows

	Settings []string          // name=value, over our own, which are fast and lose the last commits in a crash
	Files    map[string]string // of the data directory, by name, like pg_hba.conf and server.key

	BinDir        string // with initdb and postgres; default: looked for, else downloaded
	CacheDir      string // of downloads; default in the user's, or as root the system's cache
	RepositoryURL string // Maven repository of downloads; default embedded-postgres's own
}

// Server is a running PostgreSQL. Its superuser is "postgres".
type Server struct {
	dir      directory
	bin      string
	port     int
	tcp      bool
	password string // for TCP; whoever gets to the socket is trusted
	account  account
	log      io.Writer
	settings []string
	files    map[string]string
	process  *process
	stop     sync.Once
}

// Start runs a new server and waits until it takes connections, half a second
// with installed binaries. The caller stops it. On Linux it also ends with this
// program, however that ends.
func Start(ctx context.Context, o Options) (*Server, error) {
	bin, err := binDir(ctx, o)
	if err != nil {
		return nil, err
	}
	who, err := newAccount(filepath.Join(bin, "postgres"))
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL of %s: %w", bin, err)
	}
	return launch(ctx, o, bin, who)
}

func launch(ctx context.Context, o Options, bin string, who account) (*Server, error) {
	dir, err := makeDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("make server directory: %w", err)
	}
	s := &Server{
		dir: dir, bin: bin, port: 5432, tcp: o.TCP || !hasSockets, password: rand.Text(),
		account: who, log: cmp.Or[io.Writer](o.Log, io.Discard), settings: o.Settings, files: o.Files,
	}
	if err := s.run(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL of %s: %w", bin, err), s.Stop())
	}
	return s, nil
}

// URL is how the superuser connects to a database.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database}
	if s.tcp {
		u.User = url.UserPassword(superuser, s.password)
		u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
		u.RawQuery = "sslmode=disable"
	} else {
		u.RawQuery = url.Values{"host": {s.dir.path}, "port": {strconv.Itoa(s.port)}}.Encode()
	}
	return u.String()
}

// Stop ends the server and removes its data. Further calls do nothing.
func (s *Server) Stop() (err error) {
	s.stop.Do(func() {
		if s.process != nil {
			s.process.stop(func() error { return s.shutdown(Fast) })
		}
		err = s.dir.remove()
	})
	return err
}

func (s *Server) run(ctx context.Context) (err error) {
	if err := s.initdb(ctx); err != nil {
		return err
	}
	if s.tcp {
		if s.port, err = freePort(); err != nil {
			return err
		}
	}
	return s.serve(ctx)
}

// serve starts PostgreSQL on the data that there is, and waits until it takes connections.
func (s *Server) serve(ctx context.Context) (err error) {
	s.process, err = start(s.account, s.log, s.dir.path, filepath.Join(s.bin, "postgres"), s.arguments()...)
	if err != nil {
		return err
	}
	return s.process.ready(ctx, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

func (s *Server) arguments() []string {
	args := []string{"-D", s.data()}
	if s.tcp {
		args = append(args, "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-c", "unix_socket_directories=")
	} else {
		args = append(args, "-h", "", "-k", s.dir.path)
	}
	fast := []string{"fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_wal_size=128MB", "max_connections=200"}
	for _, setting := range slices.Concat(fast, s.settings) { // the last one counts
		args = append(args, "-c", setting)
	}
	return args
}

func (s *Server) data() string { return filepath.Join(s.dir.path, "data") }

// initdb makes the data directory. Durability is for others: nothing is synced.
func (s *Server) initdb(ctx context.Context) error {
	passwordFile := filepath.Join(s.dir.path, "password")
	if err := os.WriteFile(passwordFile, []byte(s.password), 0o600); err != nil {
		return err
	}
	if err := errors.Join(s.account.own(s.dir.path), s.account.own(passwordFile)); err != nil {
		return err
	}
	made, err := start(s.account, io.Discard, s.dir.path, filepath.Join(s.bin, "initdb"),
		"-D", s.data(), "-U", superuser, "-E", "UTF8", "--locale=C", "--no-sync",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile="+passwordFile)
	if err == nil {
		err = made.ended(ctx)
	}
	if err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	return errors.Join(os.Remove(passwordFile), s.writeFiles())
}

// writeFiles puts the caller's own into the data directory.
func (s *Server) writeFiles() error {
	for name, content := range s.files {
		file := filepath.Join(s.data(), name)
		if err := errors.Join(os.WriteFile(file, []byte(content), 0o600), s.account.own(file)); err != nil {
			return err
		}
	}
	return nil
}

// freePort returns a loopback port that nobody listens on at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
