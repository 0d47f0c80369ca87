package main

import (
	"context"
	"errors"

	"coderhook/store"

	"github.com/rs/zerolog"
)

// cureReadOnly is also for the log, where there is no SQL.
const cureReadOnly = "name the primary's address in DATABASE_URL, and where it names several hosts add target_session_attrs=read-write to its parameters; " +
	"or free space on a full disk, because of which Supabase makes a database read-only"

// checkWritable: a database that can only be read gives the keys that there are, and takes no new one.
func (d *doctor) checkWritable(ctx context.Context, i *store.Inspector) error {
	const check = "database takes writes"
	found, err := i.ReadOnly(ctx)
	switch {
	case err != nil:
		return err
	case found.Standby:
		d.fail(check, cure{do: "name the primary's address in DATABASE_URL, and where it names several hosts add target_session_attrs=read-write to its parameters"},
			"no: it is a standby. Users without a key get none")
	case found.ReadOnly && found.Source == "client":
		d.fail(check, cure{do: "take default_transaction_read_only from the parameters of DATABASE_URL (it may stand in options there), or from where a pooler sets it"},
			"no: the connection itself sets default_transaction_read_only. Users without a key get none")
	case found.ReadOnly:
		d.fail(check, cure{"if the disk is full, as Supabase makes a database read-only then, enlarge it or free space; then set default_transaction_read_only = off where it was turned on", found.Undo},
			"no: default_transaction_read_only is on (%s). Users without a key get none", found.Source)
	default:
		d.ok(check, "yes")
	}
	return nil
}

// warnReadOnly says at the start what each new user's mint would only repeat.
func warnReadOnly(ctx context.Context, database *store.Store, log zerolog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	if err := database.Writable(ctx); errors.Is(err, store.ErrReadOnly) {
		log.Error().Str("cure", cureReadOnly).Msg("the database is read-only: users without a key get none")
	}
}
