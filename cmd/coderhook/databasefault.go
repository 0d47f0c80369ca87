package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"coderhook/hook"
	"coderhook/store"

	"github.com/rs/zerolog"
)

// inspectTimeout is short: a start does not depend on the database.
const inspectTimeout = 3 * time.Second

// checkStart says what is wrong with the database once and clearly, as each mint would only repeat it. Only a
// fault of the configuration ends the start.
func checkStart(ctx context.Context, c config, database *store.Store, log zerolog.Logger) error {
	if err := databaseFault(ctx, c.database); err != nil {
		then := "tokens go out without a key"
		if c.reject {
			then = "sign-ins are rejected"
		}
		log.Error().Err(err).Msg("the database can't be used: " + then)
		log = zerolog.Nop() // what the next check would say follows from this
	}
	return hook.CheckLifetime(ctx, database, c.options.TokenLifetime, log)
}

// databaseFault is why no key could be read or stored, or nil.
func databaseFault(ctx context.Context, cfg store.Config) error {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	i, err := store.Inspect(ctx, cfg)
	if err != nil {
		return err
	}
	defer i.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	ledger, err := i.Ledger(ctx)
	if err != nil {
		return err
	}
	shape, err := i.Shape(ctx)
	switch {
	case err != nil:
		return err
	case i.Refusal(shape) != nil:
		return i.Refusal(shape)
	case !ledger.Complete():
		return fmt.Errorf("%w: there is no %s", store.ErrNotMigrated, strings.Join(ledger.Missing, ", no "))
	case !shape.Exists || shape.KeyType == "":
		return fmt.Errorf("%w: there is no %s with a column %s", store.ErrNotMigrated, i.Table(), i.Key())
	case !ledger.Usable || !shape.Rights || shape.RowSecurity && !shape.Policies:
		return errors.New("the role of DATABASE_URL lacks rights; coderhook doctor says which")
	}
	return nil
}
