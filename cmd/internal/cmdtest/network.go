package cmdtest

import (
	"net"
	"strings"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"
)

// OwnServer starts a Supabase project with the migrations, on a server of its own with TLS or without.
func OwnServer(t *testing.T, files map[string]string, settings ...string) (port string, run func(sql string)) {
	t.Helper()
	server, err := pgserver.Start(t.Context(), pgserver.Options{TCP: true, Files: files, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	superuser := server.URL("postgres")
	run = func(sql string) {
		t.Helper()
		if err := storetest.RunScript(t.Context(), superuser, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := pgserver.PrepareSupabase(t.Context(), superuser); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Migrate(t.Context(), store.Config{URL: superuser}); err != nil {
		t.Fatal(err)
	}
	run(`alter role coderhook login password 'right'`)
	_, port, _ = strings.Cut(superuser, "@127.0.0.1:")
	port, _, _ = strings.Cut(port, "/")
	return port, run
}

// ListenFor answers each connection.
func ListenFor(t *testing.T, answer func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); answer(conn) }()
		}
	}()
	return l.Addr().String()
}
