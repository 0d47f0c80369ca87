package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrNotFound says that no row matches.
	ErrNotFound = errors.New("not found")
	// ErrLeased says that somebody else holds the account's lease.
	ErrLeased = errors.New("account is leased by another owner")
	// ErrLeaseLost says that the lease is not, or no longer, the caller's; nothing was written.
	ErrLeaseLost = errors.New("lease lost")
	// ErrTaken says that the Coder user belongs to another account.
	ErrTaken = errors.New("coder user belongs to another account")
	// ErrBusy says that a row is locked by another transaction: try again later.
	ErrBusy = errors.New("row is locked")
	// ErrNoUser says that the profile's user does not exist, or is not committed yet.
	ErrNoUser = errors.New("user does not exist")
	// ErrProfile says that the product's table refuses the key; its text names the rule.
	ErrProfile = errors.New("profiles table refuses the key")
	// ErrNotMigrated says that a table, column or function is missing.
	ErrNotMigrated = errors.New("database is not migrated (run coderhook migrate)")
)

// SQLSTATE codes, as in appendix A of the Postgres manual.
const (
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
	deadlockDetected     = "40P01"
	duplicateStatement   = "42P05"
	foreignKeyViolation  = "23503"
	insufficientRights   = "42501"
	invalidCatalogName   = "3D000"
	invalidSchemaName    = "3F000"
	unknownStatement     = "26000"
	lockNotAvailable     = "55P03"
	serializationFailure = "40001"
	undefinedColumn      = "42703"
	undefinedFunction    = "42883"
	undefinedTable       = "42P01"
	uniqueViolation      = "23505"
)

// sqlState returns the code of a Postgres error, or "".
func sqlState(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// IsNoDatabase reports whether err says that the server has no database of that name.
func IsNoDatabase(err error) bool { return sqlState(err) == invalidCatalogName }

// explain turns driver errors that a caller can act on into the package's own.
func explain(err error) error {
	switch sqlState(err) {
	case undefinedTable, undefinedColumn, undefinedFunction, invalidSchemaName:
		return fmt.Errorf("%w: %w", ErrNotMigrated, err)
	case lockNotAvailable, deadlockDetected, serializationFailure:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// maxTries is for again: a connection of the kind that failed may be met once more.
const maxTries = 3

// again calls f, and calls it again if it met a connection that the server or
// something in between had closed while it was idle, or a pooler that gives each
// statement another server. All our statements can be repeated: a lease's owner
// who claims, extends or writes twice changes nothing.
func (s *Store) again(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil || ctx.Err() != nil || try == maxTries {
			return err
		}
		switch state := sqlState(err); {
		case state == unknownStatement, state == duplicateStatement:
			s.unprepared.Store(true)
		case try > 1 || !stale(err):
			return err
		}
		s.pool.Reset() // the other connections are of the same kind
	}
}

// stale reports whether err means that an open connection was lost, as opposed
// to a database that cannot be reached or that refused the statement.
func stale(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok || err == nil {
		return false
	}
	if code := sqlState(err); code != "" {
		return code == adminShutdown || code == crashShutdown
	}
	_, network := errors.AsType[*net.OpError](err)
	return network || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// withHint adds the server's hint, which Postgres errors do not print.
func withHint(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Hint != "" {
		return fmt.Errorf("%w (%s)", err, pg.Hint)
	}
	return err
}
