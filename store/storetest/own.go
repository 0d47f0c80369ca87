package storetest

import (
	"context"
	"testing"

	"coderhook/store/storetest/pgserver"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Own returns a database as New does, but the only one of a server of its own, whose roles the test
// may change. It asks for passwords.
func Own(t testing.TB) (*DB, *pgserver.Server) {
	t.Helper()
	own, err := pgserver.Start(t.Context(), pgserver.Options{TCP: true})
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	s := &server{url: own.URL("postgres"), stop: own.Stop}
	if s.admin, err = pgxpool.New(context.WithoutCancel(t.Context()), s.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Errorf("storetest: %v", err)
		}
	})
	if err := s.makeTemplate(t.Context()); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	db := s.lend(t, s.template)
	t.Cleanup(s.admin.Reset) // the test may have ended its connections
	return db, own
}
