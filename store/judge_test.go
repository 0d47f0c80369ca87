package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"coderhook/store"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	of := func(severity, code string) error { return &pgconn.PgError{Severity: severity, Code: code} }
	for _, c := range []struct {
		err  error
		want string
	}{
		{of("FATAL", "57P05"), "dead"},
		{of("FATAL", "08P01"), "dead"},
		{of("FATAL", "XX000"), "dead"},
		{of("PANIC", "XX001"), "dead"},
		{&pgconn.PgError{Severity: "FATALE", SeverityUnlocalized: "FATAL", Code: "25P03"}, "dead"},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, "dead"},
		{io.ErrUnexpectedEOF, "dead"},
		{of("ERROR", "42501"), "outdated"},
		{of("ERROR", "25006"), "outdated"},
		{of("ERROR", "0A000"), "outdated"},
		{store.ErrReadOnly, "outdated"},
		{of("ERROR", "26000"), "unprepared"},
		{of("ERROR", "42P05"), "unprepared"},
		{fmt.Errorf("x: %w", &pgconn.ConnectError{}), "refused"},
		{of("ERROR", "23505"), "final"},
		{of("ERROR", "42P01"), "final"},
		{of("ERROR", "57014"), "final"},
		{context.Canceled, "final"},
		{store.ErrLeased, "final"},
	} {
		if got := store.Judged(c.err); got != c.want {
			t.Errorf("%v is %s, want %s", c.err, got, c.want)
		}
	}
}
