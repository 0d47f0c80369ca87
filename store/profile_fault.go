package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// errNewProfile says that the profile, or another row with one of its unique
// values, appeared while we inserted it.
var errNewProfile = errors.New("profile exists by now")

// profileFault translates an error of a statement that carries the key. The
// server's text is left out: a trigger of the product's can put any value into it.
func profileFault(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	verdict := judge(err)
	if verdict == dead {
		return err
	}
	fault := wordless(pg)
	if verdict == outdated {
		return judged{fault, verdict} // as its code is gone
	}
	return fault
}

// wordless is the error without the server's text.
func wordless(pg *pgconn.PgError) error {
	switch pg.Code {
	case lockNotAvailable, deadlockDetected, serializationFailure:
		return fmt.Errorf("%w (SQLSTATE %s)", ErrBusy, pg.Code)
	}
	if reason := refusal(pg.Code); reason != "" {
		return fmt.Errorf("%w: %s%s (SQLSTATE %s)", ErrProfile, reason, culprit(pg), pg.Code)
	}
	return fmt.Errorf("write profile: SQLSTATE %s", pg.Code)
}

// refusal says in words what rule of the table an error is about, "" for other errors.
func refusal(code string) string {
	switch code {
	case insufficientRights:
		return "permission denied, or refused by row level security"
	case undefinedTable, invalidSchemaName:
		return "table does not exist"
	case undefinedColumn:
		return "column does not exist"
	case "23502":
		return "a column must not be null"
	case uniqueViolation:
		return "a value must be unique"
	case "P0001":
		return "refused by a trigger"
	}
	if strings.HasPrefix(code, "23") {
		return "a constraint is violated"
	}
	if strings.HasPrefix(code, "22") || strings.HasPrefix(code, "42") {
		return "a value does not fit"
	}
	return ""
}

// culprit names the column and constraint of an error, where it has them.
func culprit(pg *pgconn.PgError) string {
	var b strings.Builder
	if pg.ColumnName != "" {
		fmt.Fprintf(&b, ", column %q", pg.ColumnName)
	}
	if pg.ConstraintName != "" {
		fmt.Fprintf(&b, ", constraint %q", pg.ConstraintName)
	}
	return b.String()
}
