package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// ErrNoPooler says that PgBouncer is not installed.
var ErrNoPooler = errors.New("no pgbouncer found (Debian, Ubuntu: apt-get install pgbouncer)")

// Pooler is a running PgBouncer in transaction mode, in front of one server. It
// logs in there as one role, whatever its clients say, on three connections per
// database. Clients reach it by a Unix socket, so that its port can be any.
type Pooler struct {
	dir      directory
	port     int
	settings []string
	process  *process
	stop     sync.Once
}

// StartPooler runs a PgBouncer for the server and role of upstream. It refuses
// start-up parameters that it does not know, as hosted ones do. Settings, name = value, are over our own.
func StartPooler(ctx context.Context, upstream string, port int, settings ...string) (*Pooler, error) {
	program, err := findPooler()
	if err != nil {
		return nil, err
	}
	dir, err := makeDir("")
	if err != nil {
		return nil, fmt.Errorf("make pooler directory: %w", err)
	}
	p := &Pooler{dir: dir, port: port, settings: settings}
	if err := p.run(ctx, program, upstream); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", program, err), p.Stop())
	}
	return p, nil
}

// URL is how to connect to a database through the pooler.
func (p *Pooler) URL(database string) string {
	query := url.Values{"host": {p.dir.path}, "port": {strconv.Itoa(p.port)}}
	return (&url.URL{Scheme: "postgres", User: url.User("pooled"), Path: "/" + database, RawQuery: query.Encode()}).String()
}

// Stop ends the pooler. Further calls do nothing.
func (p *Pooler) Stop() (err error) {
	p.stop.Do(func() {
		if p.process != nil {
			p.process.stop(p.process.interrupt)
		}
		err = p.dir.remove()
	})
	return err
}

func (p *Pooler) run(ctx context.Context, program, upstream string) error {
	who, err := newAccount(program)
	if err != nil {
		return err
	}
	server, err := pgx.ParseConfig(upstream)
	if err != nil {
		return err
	}
	config := filepath.Join(p.dir.path, "pgbouncer.ini")
	if err := os.WriteFile(config, []byte(p.config(server)), 0o600); err != nil {
		return err
	}
	if err := errors.Join(who.own(p.dir.path), who.own(config)); err != nil {
		return err
	}
	if p.process, err = start(who, io.Discard, p.dir.path, program, config); err != nil {
		return err
	}
	return p.process.ready(ctx, func(ctx context.Context) error {
		_, err := os.Stat(filepath.Join(p.dir.path, ".s.PGSQL."+strconv.Itoa(p.port)))
		return err
	})
}

func (p *Pooler) config(server *pgx.ConnConfig) string {
	quote := strings.NewReplacer("'", "''")
	return fmt.Sprintf(`[databases]
* = host='%s' port=%d user='%s' password='%s'
[pgbouncer]
unix_socket_dir = %s
listen_port = %d
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
%s
`, quote.Replace(server.Host), server.Port, quote.Replace(server.User), quote.Replace(server.Password), p.dir.path, p.port, strings.Join(p.settings, "\n"))
}

// findPooler also looks where a user's PATH often does not.
func findPooler() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer"} {
		if program, err := exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", ErrNoPooler
}
