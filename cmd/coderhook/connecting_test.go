package main

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/jackc/pgx/v5/pgproto3"
)

// saysTheCure runs doctor, migrate and serve where the database can't be connected to.
func saysTheCure(t *testing.T, w *cmdtest.Deployment, want string) {
	t.Helper()
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure database")
	if len(found) != 1 || !strings.Contains(found[0].Cure, want) {
		t.Errorf("doctor: %+v, want %q", found, want)
		return
	}
	if _, err := command(t, w.Variables, "migrate"); err == nil || !strings.Contains(err.Error(), found[0].Cure) {
		t.Errorf("migrate: %v, want %q", err, found[0].Cure)
	}
	p := cmdtest.Start(t, w.DB, w.Coder, "DATABASE_URL="+w.Variables["DATABASE_URL"])
	cmdtest.Eventually(t, "serve says what to do", func() bool { return strings.Contains(p.Log(), jsonText(found[0].Cure)) })
	p.Stop(t)
}

func jsonText(text string) string { return strings.ReplaceAll(text, `"`, `\"`) }

// withServer tells of another database than the package's own.
func withServer(t *testing.T, w *cmdtest.Deployment, broken, want, mended string) {
	t.Helper()
	w.Variables["DATABASE_URL"] = broken
	saysTheCure(t, w, want)
	w.Variables["DATABASE_URL"] = mended
	cmdtest.WantResults(t, w.Doctor(t))
}

const hbaWithoutTLS = `host all postgres 127.0.0.1/32 scram-sha-256
host all coderhook 127.0.0.1/32 scram-sha-256
host all sleeper,ghost,lent 127.0.0.1/32 trust
host all ended 127.0.0.1/32 scram-sha-256
`

func TestWhatIsWrongWithTheLogin(t *testing.T) {
	t.Parallel()
	port, run := cmdtest.OwnServer(t, map[string]string{"pg_hba.conf": hbaWithoutTLS})
	right := "postgres://coderhook:right@127.0.0.1:" + port + "/postgres"
	run(`create role sleeper; grant coderhook to sleeper; create role stranger login; create role lent login connection limit 0 in role coderhook`)
	run(`create role ended login password 'right' valid until '2020-01-01' in role coderhook`)
	run(`create database closed`)
	run(`revoke connect on database closed from public`)
	for name, test := range map[string]struct{ broken, want, mend, mended string }{
		"password":              {"postgres://coderhook:wrong@127.0.0.1:" + port + "/postgres", "correct user and password", "", right},
		"password, prefer":      {"postgres://coderhook:wrong@127.0.0.1:" + port + "/postgres?sslmode=prefer", "correct user and password", "", right},
		"no password":           {"postgres://coderhook@127.0.0.1:" + port + "/postgres", "correct user and password", "", right},
		"no login":              {"postgres://sleeper@127.0.0.1:" + port + "/postgres", "alter role sleeper login", `alter role sleeper login`, "postgres://sleeper@127.0.0.1:" + port + "/postgres"},
		"no role":               {"postgres://ghost@127.0.0.1:" + port + "/postgres", "correct the user of DATABASE_URL", "", right},
		"not in pg_hba.conf":    {"postgres://stranger@127.0.0.1:" + port + "/postgres", "pg_hba.conf", "", right},
		"no database":           {"postgres://coderhook:right@127.0.0.1:" + port + "/nowhere", "correct the database's name", "", right},
		"closed database":       {"postgres://coderhook:right@127.0.0.1:" + port + "/closed", "grant connect on database", "", right},
		"too many":              {"postgres://lent@127.0.0.1:" + port + "/postgres", "alter role lent connection limit -1", `alter role lent connection limit -1`, "postgres://lent@127.0.0.1:" + port + "/postgres"},
		"password that ended":   {"postgres://ended:right@127.0.0.1:" + port + "/postgres", "alter role ended login password '…' valid until 'infinity'", `alter role ended login password 'right' valid until 'infinity'`, "postgres://ended:right@127.0.0.1:" + port + "/postgres"},
		"the owner's password":  {"postgres://postgres:wrong@127.0.0.1:" + port + "/postgres", "reset it in the dashboard's database settings", "", right},
		"pg_hba.conf or TLS":    {"postgres://stranger@127.0.0.1:" + port + "/postgres?sslmode=disable", "pg_hba.conf", "", right},
		"TLS asked for":         {right + "?sslmode=require", "set sslmode=disable", "", right},
		"TLS and verification":  {right + "?sslmode=verify-full", "turn TLS on at the server", "", right},
		"nobody there":          {"postgres://coderhook:right@127.0.0.1:1/postgres", "host and port", "", right},
		"no such host":          {"postgres://coderhook:right@no-such-host.invalid:5432/postgres", "correct the host", "", right},
		"no way to IPv6":        {"postgres://coderhook:right@[2001:db8::1]:5432/postgres", "session pooler", "", right},
		"the second host works": {"postgres://coderhook:wrong@127.0.0.1:1,127.0.0.1:" + port + "/postgres", "correct user and password", "", "postgres://coderhook:right@127.0.0.1:1,127.0.0.1:" + port + "/postgres"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
			w.Variables["DATABASE_URL"] = test.broken
			saysTheCure(t, w, test.want)
			if test.mend != "" {
				run(test.mend)
			}
			w.Variables["DATABASE_URL"] = test.mended
			cmdtest.WantResults(t, w.Doctor(t))
			if strings.Contains(name, "TLS") {
				return
			}
			w.Variables["DATABASE_URL"] = test.broken
			if found := w.Doctor(t); len(found) > 0 && (strings.Contains(found[0].Cure, "TLS") || strings.Contains(found[0].Cure, "sslmode")) {
				t.Errorf("TLS is no cure: %+v", found)
			}
		})
	}
}

func readFile(t *testing.T, dir, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestWhatIsWrongWithTLS(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	writePairUntil(t, dir, "localhost", time.Now().Add(time.Hour))
	writePairUntil(t, other, "localhost", time.Now().Add(time.Hour))
	port, run := cmdtest.OwnServer(t, map[string]string{
		"server.crt": readFile(t, dir, "cert.pem"), "server.key": readFile(t, dir, "key.pem"),
		"pg_hba.conf": "host all postgres 127.0.0.1/32 scram-sha-256\nhostssl all coderhook 127.0.0.1/32 scram-sha-256\nhostnossl all plain 127.0.0.1/32 trust\n",
	}, "ssl=on")
	run(`create role plain login; grant coderhook to plain`)
	base := "postgres://coderhook:right@localhost:" + port + "/postgres?sslmode="
	ours, wrong := "&sslrootcert="+filepath.Join(dir, "cert.pem"), "&sslrootcert="+filepath.Join(other, "cert.pem")
	for name, test := range map[string]struct{ broken, want, not, mended string }{
		"without":             {base + "disable", "set sslmode=require", "pooler", base + "require"},
		"wrong authority":     {base + "require" + wrong, "sslrootcert=", "sslmode=require", base + "require" + ours},
		"wrong authority, ca": {base + "verify-ca" + wrong, "sslrootcert=", "sslmode=require", base + "verify-ca" + ours},
		"no authority":        {base + "verify-full", "sslrootcert=", "sslmode=disable", base + "verify-full" + ours},
		"another name":        {strings.Replace(base, "localhost", "127.0.0.1", 1) + "verify-full" + ours, "as its certificate does", "sslmode=disable", base + "verify-full" + ours},
		"password over TLS":   {strings.Replace(base, "right", "wrong", 1) + "require", "correct user and password", "sslmode", base + "require"},
		"password, prefer":    {strings.Replace(base, "right", "wrong", 1) + "prefer", "correct user and password", "sslmode", base + "prefer"},
		"not let in with TLS": {"postgres://plain@127.0.0.1:" + port + "/postgres?sslmode=require", "pg_hba.conf", "sslmode", "postgres://plain@127.0.0.1:" + port + "/postgres?sslmode=disable"},
		"not let in at all":   {"postgres://nobody@127.0.0.1:" + port + "/postgres?sslmode=prefer", "pg_hba.conf", "sslmode", base + "prefer"},
		"no database, prefer": {strings.Replace(base, "/postgres", "/nowhere", 1) + "prefer", "correct the database's name", "sslmode", base + "prefer"},
		"what speaks no TLS":  {"postgres://coderhook:right@" + garbage(t) + "/postgres?sslmode=require", "what speaks TLS", "sslmode=disable", base + "require"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
			withServer(t, w, test.broken, test.want, test.mended)
			w.Variables["DATABASE_URL"] = test.broken
			if found := w.Doctor(t); len(found) > 0 && strings.Contains(found[0].Cure, test.not) {
				t.Errorf("the cure holds %q: %+v", test.not, found)
			}
		})
	}
}

// garbage is an address where a server takes TLS and then speaks something else.
func garbage(t *testing.T) string {
	t.Helper()
	return cmdtest.ListenFor(t, func(conn net.Conn) {
		_, _ = io.ReadFull(conn, make([]byte, 8))
		_, _ = io.WriteString(conn, "S")
		_, _ = conn.Read(make([]byte, 1024))
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
	})
}

// poolerSaying takes no TLS and ends each login with these words, as Supavisor does.
func poolerSaying(t *testing.T, code, message string) string {
	t.Helper()
	return cmdtest.ListenFor(t, func(conn net.Conn) {
		backend := pgproto3.NewBackend(conn, conn)
		for {
			switch startup, err := backend.ReceiveStartupMessage(); startup.(type) {
			case *pgproto3.SSLRequest:
				_, _ = io.WriteString(conn, "N")
				continue
			case *pgproto3.StartupMessage:
				backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message})
				_ = backend.Flush()
				return
			default:
				_ = err
				return
			}
		}
	})
}

func TestWhatPoolersSay(t *testing.T) {
	t.Parallel()
	const tenant, many, login = "coderhook.<project-ref>", "pool_max_conns × replicas", "correct user and password"
	for _, test := range []struct{ code, message, want string }{
		{"XX000", "Tenant or user not found", tenant},
		{"XX000", "(ENOTFOUND) tenant/user coderhook.abcdefghijklmnopqrst not found", tenant},
		{"XX000", "(ENOIDENTIFIER) no tenant identifier provided (external_id or sni_hostname required)", tenant},
		{"28000", "Tenant or user not found", tenant},
		{"28P01", "Tenant or user not found", tenant},
		{"XX000", "MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size", many},
		{"XX000", "(EMAXCLIENTSINSESSION) max clients reached in session mode - max clients are limited to pool_size: 15", many},
		{"XX000", "Max client connections reached", many},
		{"53300", "remaining connection slots are reserved for roles with the SUPERUSER attribute", many},
		{"08P01", "no more connections allowed (max_client_conn)", many},
		{"08P01", "no such user: coderhook", login},
		{"08P01", "SASL authentication failed", login},
		{"28P01", `password authentication failed for user "coderhook"`, login},
		{"08P01", "no such database: x", "correct the database's name"},
		{"08P01", "SSL required", "set sslmode=require"},
		{"08P01", "server login has been failing, try again later (server_login_retry)", "the pooler can reach the server"},
		{"57P03", "the database system is starting up", "wait until the server has started"},
		{"08P01", "unsupported startup parameter: x", "do what the server says"},
	} {
		t.Run(test.message, func(t *testing.T) {
			t.Parallel()
			w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
			right := w.Variables["DATABASE_URL"]
			mode := "prefer"
			if test.message == "SSL required" {
				mode = "disable"
			}
			withServer(t, w, "postgres://coderhook:right@"+poolerSaying(t, test.code, test.message)+"/postgres?sslmode="+mode, test.want, right)
		})
	}
}

func TestWhatPgBouncerSays(t *testing.T) {
	t.Parallel()
	users, err := os.CreateTemp("", "coderhook-users")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(users.Name()) })
	_, err = users.WriteString(`"coderhook" "throwaway"`)
	if err := errors.Join(err, users.Chmod(0o644), users.Close()); err != nil { // PgBouncer is another user
		t.Fatal(err)
	}
	login := []string{"auth_type = scram-sha-256", "auth_file = " + users.Name()}
	for name, test := range map[string]struct {
		user, want string
		broken     []string
	}{
		"no such user":   {"ghost:x", "correct user and password", login},
		"wrong password": {"coderhook:wrong", "correct user and password", login},
		"full":           {"coderhook:throwaway", "pool_max_conns × replicas", append(login, "max_client_conn = 0")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
			database := storetest.Query[string](t, w.DB, `select current_database()`)
			through := func(user string, settings []string) string {
				pooler, err := pgserver.StartPooler(t.Context(), w.DB.RoleURL("coderhook"), 5432, settings...)
				if errors.Is(err, pgserver.ErrNoPooler) && os.Getenv("CI") != "true" {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = pooler.Stop() })
				return strings.Replace(pooler.URL(database), "pooled@", user+"@", 1) + "&pgbouncer=true"
			}
			withServer(t, w, through(test.user, test.broken), test.want, through("coderhook:throwaway", login))
		})
	}
}
