package store_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestOpenNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	const valid = "postgres://u:hunter2@127.0.0.1:1/db"
	for name, c := range map[string]struct {
		cfg  store.Config
		want string
	}{
		"no URL":             {store.Config{}, "missing"},
		"not a URL":          {store.Config{URL: "postgres://u:hunter2 %zz@h/db"}, "malformed"},
		"bad port":           {store.Config{URL: "postgres://u:hun#ter2@h/db"}, "malformed"},
		"password as port":   {store.Config{URL: "postgres://u:hunter2"}, "malformed"},
		"keywords":           {store.Config{URL: "host=h password=hunter2"}, "postgres://"},
		"MySQL":              {store.Config{URL: "mysql://u:hunter2@h/db"}, "postgres://"},
		"bad TLS mode":       {store.Config{URL: valid + "?sslmode=hunter&password=hunter2"}, "sslmode"},
		"bad exec mode":      {store.Config{URL: valid + "?default_query_exec_mode=fast"}, "default_query_exec_mode"},
		"bad timeout":        {store.Config{URL: valid + "?connect_timeout=soon"}, "connect_timeout"},
		"bad pool size":      {store.Config{URL: valid + "?pool_max_conns=many"}, "pool_max_conns"},
		"three-part table":   {store.Config{URL: valid, ProfilesTable: "a.b.c"}, `"b.c"`},
		"empty table":        {store.Config{URL: valid, ProfilesTable: "app."}, "profiles table is empty"},
		"long column":        {store.Config{URL: valid, ProfilesKeyColumn: strings.Repeat("k", 64)}, "63 bytes"},
		"control characters": {store.Config{URL: valid, ProfilesIDColumn: "i\x00d"}, `"i\x00d"`},
		"one column twice":   {store.Config{URL: valid, ProfilesIDColumn: "api_key"}, "both"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := store.Open(t.Context(), c.cfg)
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q does not say %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ter2") {
				t.Errorf("password in %q", err)
			}
			if parse, ok := errors.AsType[*pgconn.ParseConfigError](err); ok && strings.Contains(parse.ConnString, "hunter2") {
				t.Error("password in the driver's error")
			}
		})
	}
}

func TestExecMode(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]pgx.QueryExecMode{
		":5432/db": pgx.QueryExecModeCacheStatement,
		":6543/db": pgx.QueryExecModeExec,
		":5432/db?pgbouncer=true&connection_limit":                       pgx.QueryExecModeExec,
		":5432/db?pgbouncer=false":                                       pgx.QueryExecModeCacheStatement,
		":6543/db?pgbouncer=true&default_query_exec_mode=cache_describe": pgx.QueryExecModeCacheDescribe,
	} {
		s := storetest.Open(t, store.Config{URL: "postgres://u@127.0.0.1" + query})
		if got := store.ExecMode(s); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

// The password is taken out of the URL before it is parsed, and must find its way back.
func TestPasswordsReachTheServer(t *testing.T) {
	t.Parallel()
	for u, want := range map[string]string{
		"postgres://u:p%2Fw%3F@%s/db": "p/w?", "postgres://u@%s/db?password=p%2Fw%3F": "p/w?",
		"postgres://u:p+w@%s/db": "p+w", "postgres://u@%s/db?password=p+w": "p+w", "postgres://u:p@w@%s/db": "p@w",
	} {
		server := newPasswordServer(t)
		s := storetest.Open(t, store.Config{URL: strings.Replace(u, "%s", server.addr, 1) + querySeparator(u) + "sslmode=disable&pool_min_idle_conns=0"})
		_ = s.Ping(t.Context()) // the server hangs up
		if got := <-server.password; got != want {
			t.Errorf("%s: got password %q", u, got)
		}
	}
}

func querySeparator(u string) string {
	if strings.Contains(u, "?") {
		return "&"
	}
	return "?"
}

func TestADatabaseThatIsDown(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, store.Config{URL: "postgres://u:hunter2@" + closedPort(t) + "/db"})
	for what, err := range map[string]error{"ping": s.Ping(t.Context()), "look up": second(s.Lookup(t.Context(), uuid.New()))} {
		if err == nil || !strings.HasPrefix(err.Error(), what) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestADatabaseThatNeverAnswers(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, store.Config{URL: "postgres://u:hunter2@" + silentServer(t) + "/db"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := s.Lookup(ctx, uuid.New())
	wantErr(t, err, context.DeadlineExceeded)

	err = s.Ping(t.Context()) // no deadline but our own
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestCancelledCallsFail(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lease := store.Lease{UserID: uuid.New(), Owner: "me"}
	for _, err := range []error{
		s.Ping(ctx), s.Claim(ctx, lease, ttl), s.StoreKey(ctx, lease, newKey()), second(s.Lookup(ctx, lease.UserID)),
	} {
		wantErr(t, err, context.Canceled)
	}
}

func TestUnmigratedDatabaseSaysSo(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	s := storetest.Open(t, store.Config{URL: db.URL})
	for _, err := range []error{
		second(s.Lookup(t.Context(), uuid.New())),
		s.Claim(t.Context(), store.Lease{UserID: uuid.New(), Owner: "me"}, ttl),
		second(s.AuthUsers(t.Context(), []uuid.UUID{uuid.New()})),
	} {
		wantErr(t, err, store.ErrNotMigrated)
	}
}

func TestIdleConnectionsMayBeClosedByTheServer(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	id := uuid.New()
	lease := claimed(t, s, id, "me")
	for range 5 {
		lookup(t, s, id)
		db.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'coderhook'`)
		lookup(t, s, id)
		db.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'coderhook'`)
		must(t, s.Claim(t.Context(), lease, ttl))
	}
}

func TestIdleConnectionsMayBeCut(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	p := newProxy(t, db.RoleURL("coderhook"))
	s := storetest.Open(t, store.Config{URL: p.url})
	id := db.AddUser(t, "a@example.com")
	lease := claimed(t, s, id, "me")
	for range 5 {
		p.cut()
		lookup(t, s, id)
		p.cut()
		must(t, s.StoreKey(t.Context(), lease, newKey()))
	}
}

func TestLookupIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	for _, c := range []struct {
		params string
		warmUp int
	}{
		{"", 1},
		{"&pgbouncer=true", 0}, // also the first on its connection
	} {
		p := newProxy(t, db.RoleURL("coderhook"))
		s := storetest.Open(t, store.Config{URL: p.url + c.params, MaxConns: 1})
		must(t, s.Ping(t.Context()))
		for range c.warmUp {
			lookup(t, s, uuid.New())
		}
		p.reset()
		lookup(t, s, uuid.New())
		if trips, writes := p.count(); trips != 1 || writes != 1 {
			t.Errorf("%q: %d round trips in %d writes, want one in one", c.params, trips, writes)
		}
	}
}

// A check of idle connections would be a second one.
func TestIdleConnectionsAreNotPinged(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, store.Config{URL: "postgres://u@127.0.0.1:5432/db"})
	if store.PingsIdle(s, time.Hour) {
		t.Error("pinged after an hour")
	}
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// silentServer is an address where connections are taken and never answered.
func silentServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			conns = append(conns, conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, conn := range conns {
			conn.Close()
		}
	})
	return l.Addr().String()
}

// passwordServer asks its first client for a password.
type passwordServer struct {
	addr     string
	password chan string
}

func newPasswordServer(t *testing.T) passwordServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	s := passwordServer{l.Addr().String(), make(chan string, 1)}
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = readMessage(conn, false)
		_, _ = io.WriteString(conn, "R\x00\x00\x00\x08\x00\x00\x00\x03") // AuthenticationCleartextPassword
		body, _ := readMessage(conn, true)
		s.password <- strings.TrimSuffix(string(body), "\x00")
	}()
	return s
}
