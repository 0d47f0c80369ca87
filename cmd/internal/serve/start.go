package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"coderhook/cmd/internal/remedy"
	"coderhook/hook/apikey"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// inspectTimeout bounds the question what is wrong with the database.
const inspectTimeout = 3 * time.Second

// startCheck looks at the database once the port is open, as sign-ins must not wait for a database that can't be
// reached. Until it is over the replica is not ready: one that a fault of the configuration is about to end gets
// no sign-ins from a load balancer.
type startCheck struct {
	run  func(context.Context) error
	over atomic.Bool
}

// Run makes the check. Its error is a fault of the configuration.
func (s *startCheck) Run(ctx context.Context) error {
	err := s.run(ctx)
	if err == nil && ctx.Err() == nil {
		s.over.Store(true)
	}
	return err
}

// before makes readiness wait for it.
func (s *startCheck) before(ready func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if !s.over.Load() {
			return errors.New("the start is not over")
		}
		return ready(ctx)
	}
}

// checkStart says what is wrong with the database once and clearly, as each mint would only repeat it. Only a
// fault of the configuration is returned, and ends the server.
func (s *server) checkStart(ctx context.Context) error {
	log := s.Log
	if err := databaseFault(ctx, s.Config.Database); err != nil {
		then := "tokens go out without a key"
		if s.Config.Reject {
			then = "sign-ins are rejected"
		}
		event := log.Error().Err(err)
		if do := remedy.Connecting(err); do != "" {
			event.Str("cure", do)
		}
		event.Msg("the database can't be used: " + then)
		log = zerolog.Nop() // what the next check would say follows from this
	} else {
		warnReadOnly(ctx, s.database, log)
		s.warnUnreadable(ctx)
		if err := s.database.CheckSecrets(ctx); errors.Is(err, store.ErrSecretMissing) {
			log.Error().Err(err).Msg("the rows that this server changes lose their seals, and the other replicas do not believe them")
		}
		if err := s.database.CheckEncryptionKeys(ctx); errors.Is(err, store.ErrEncryptionKeyMissing) {
			log.Error().Err(err).Msg("tokens of users whose keys the other replicas have encrypted go out without them")
		}
	}
	if err := chainFault(ctx, s.Config.Database); err != nil {
		log.Error().Err(err).Str("cure", "coderhook doctor says what to grant").Msg("CHAIN_HOOK can't be called: all sign-ins fail")
	}
	return apikey.CheckLifetime(ctx, s.database, s.Config.Provisioning.TokenLifetime, log)
}

// databaseFault returns why no key could be read or stored, or nil.
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

// chainFault returns why the chained hook can't be called, or nil.
func chainFault(ctx context.Context, cfg store.Config) error {
	if cfg.ChainHook == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	i, err := store.Inspect(ctx, cfg)
	if err != nil {
		return err
	}
	defer i.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	hook, err := i.ChainHook(ctx)
	switch {
	case err != nil:
		return err
	case !hook.Exists:
		return fmt.Errorf("there is no %s(jsonb) that returns jsonb", cfg.ChainHook)
	case !hook.Callable:
		return fmt.Errorf("the role of DATABASE_URL may not call %s", cfg.ChainHook)
	}
	return nil
}

// warnReadOnly says at the start what each new user's mint would only repeat.
func warnReadOnly(ctx context.Context, database *store.Store, log zerolog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	if err := database.Writable(ctx); errors.Is(err, store.ErrReadOnly) {
		log.Error().Str("cure", remedy.ReadOnly).Msg("the database is read-only: users without a key get none")
	}
}

// warnUnreadable says at the start that no user can be decided about, as what the rules look at can't be read.
func (s *server) warnUnreadable(ctx context.Context) {
	if s.rules == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	if _, _, err := s.database.LookupFacts(ctx, uuid.Nil, true); err != nil {
		s.Log.Error().Err(err).Str("cure", remedy.Unreadable).Msg("what the rules of POLICY_FILE look at can't be read: no sign-in gets a key by those that do")
	}
}
