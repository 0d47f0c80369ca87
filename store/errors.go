package store

import (
	"errors"
	"fmt"

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
	// ErrReadOnly says that nothing can be written: a standby, or a setting.
	ErrReadOnly = errors.New("database is read-only")
	// ErrNotMigrated says that a table, column or function is missing.
	ErrNotMigrated = errors.New("database is not migrated (run coderhook migrate)")
)

// SQLSTATE codes, as in appendix A of the Postgres manual.
const (
	deadlockDetected     = "40P01"
	duplicateStatement   = "42P05"
	featureNotSupported  = "0A000" // also a cached plan whose result has another type now
	foreignKeyViolation  = "23503"
	insufficientRights   = "42501"
	internalError        = "XX000" // also what is gone but cached
	invalidCatalogName   = "3D000"
	invalidPassword      = "28P01"
	invalidSchemaName    = "3F000"
	readOnly             = "25006"
	unknownStatement     = "26000"
	lockNotAvailable     = "55P03"
	serializationFailure = "40001"
	undefinedColumn      = "42703"
	undefinedFunction    = "42883"
	undefinedObject      = "42704" // also a session's own role
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

// withHint adds the server's hint, which Postgres errors do not print.
func withHint(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Hint != "" {
		return fmt.Errorf("%w (%s)", err, pg.Hint)
	}
	return err
}
