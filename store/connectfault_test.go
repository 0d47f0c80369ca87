package store_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgproto3"
)

// answering is the URL of a server that refuses everybody with these words.
func answering(t *testing.T, code, message string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			backend := pgproto3.NewBackend(client, client)
			if _, err := backend.ReceiveStartupMessage(); err == nil {
				backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message})
				_ = backend.Flush()
			}
			client.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "postgres://coderhook:x@" + l.Addr().String() + "/postgres?sslmode=disable"
}

// What servers and poolers say to who may not come in. Doctor's own tests have it from real ones.
func TestConnectFaultOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code, message string
		want          store.ConnectFault
	}{
		{"28P01", `password authentication failed for user "coderhook"`, store.WrongPassword},
		{"28000", `role "coderhook" is not permitted to log in`, store.MayNotLogIn},
		{"28000", `role "coderhook" does not exist`, store.NoRole},
		{"28000", `no pg_hba.conf entry for host "10.0.0.1", user "coderhook", database "postgres", no encryption`, store.NeedsTLS},
		{"28000", `pg_hba.conf rejects connection for host "10.0.0.1"`, store.NotLetIn},
		{"28000", `something else`, store.WrongPassword},
		{"3D000", `database "x" does not exist`, store.NoDatabase},
		{"42501", `permission denied for database "postgres"`, store.MayNotConnect},
		{"53300", `sorry, too many clients already`, store.TooMany},
		{"57P03", `the database system is starting up`, store.NotReady},
		{"57P01", `terminating connection due to administrator command`, store.NotReady},
		{"XX000", `Tenant or user not found`, store.NoTenant},
		{"XX000", `FATAL: no tenant identifier provided (external_id or sni_hostname required)`, store.NoTenant},
		{"28P01", `tenant/user coderhook.ref not found`, store.NoTenant},
		{"XX000", `MaxClientsInSessionMode: max clients reached`, store.TooMany},
		{"08P01", `no such user: coderhook`, store.WrongPassword},
		{"08P01", `no such database: x`, store.NoDatabase},
		{"08P01", `server login has been failing, try again later`, store.BehindPooler},
		{"08P01", `SSL required`, store.NeedsTLS},
		{"XX000", `what nobody has said before`, store.Refused},
	} {
		_, err := store.Inspect(t.Context(), store.Config{URL: answering(t, test.code, test.message)})
		if got := store.ConnectFaultOf(err); got != test.want {
			t.Errorf("%s %q: %q, want %q", test.code, test.message, got, test.want)
		}
		if user := store.ConnectUser(err); user != "coderhook" {
			t.Errorf("%s %q: of user %q", test.code, test.message, user)
		}
	}
	if err := errors.New("of something else"); store.ConnectFaultOf(err) != store.NoFault || store.ConnectUser(err) != "" {
		t.Error("any error is one of connecting")
	}
}

func TestConnectFaultsOfTheWay(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]store.ConnectFault{
		"postgres://u:p@" + closedPort(t) + "/x?sslmode=disable": store.Unreachable,
		"postgres://u:p@coderhook.invalid/x":                     store.UnknownHost,
	} {
		_, err := store.Inspect(t.Context(), store.Config{URL: url})
		if got := store.ConnectFaultOf(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

func TestLiving(t *testing.T) {
	t.Parallel()
	hour := noon.Add(time.Hour)
	for name, test := range map[string]struct {
		user         store.AuthUser
		living, left bool
	}{
		"there":                 {store.AuthUser{Exists: true}, true, false},
		"banned":                {store.AuthUser{Exists: true, BannedUntil: hour}, false, true},
		"no longer banned":      {store.AuthUser{Exists: true, BannedUntil: noon}, true, false},
		"softly deleted":        {store.AuthUser{Exists: true, DeletedAt: noon}, false, true},
		"not there, or not yet": {store.AuthUser{}, false, false},
		"not there, seen to go": {store.AuthUser{Departed: true}, false, true},
	} {
		if test.user.Living(noon) != test.living || test.user.Left(noon) != test.left {
			t.Errorf("%s: living %v, left %v", name, test.user.Living(noon), test.user.Left(noon))
		}
	}
}

func TestAStoreWithoutTheSecretOfASealedLedger(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	must(t, s.CheckSecrets(t.Context()))
	db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, seal) values ($1, $2, '\x01')`, uuid.New(), uuid.New())
	wantErr(t, s.CheckSecrets(t.Context()), store.ErrSecretMissing)
	with := storetest.Open(t, store.Config{URL: db.RoleURL("coderhook"), LedgerSecrets: []string{"0123456789012345678901234567890123"}})
	must(t, with.CheckSecrets(t.Context()))
}
