package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"coderhook/coderclient"
	"coderhook/hook"
	"coderhook/hook/metrics"
	"coderhook/hook/owner"
	"coderhook/store"

	"github.com/rs/zerolog"
)

// reconcilePause keeps a run over many accounts below eight calls of Coder a second or so.
const reconcilePause = 250 * time.Millisecond

// upkeep is what the variables say about looking after keys.
type upkeep struct {
	interval  time.Duration
	deletes   bool
	ownerFile string        // "" when the token is given by value
	auditKept time.Duration // rows of the audit trail
}

func readUpkeep(v *variables) upkeep {
	return upkeep{
		interval:  v.duration("RECONCILE_INTERVAL", time.Hour, time.Second),
		deletes:   v.oneOf("OFFBOARD", "suspend", "delete") == "delete",
		ownerFile: v.text("CODER_OWNER_TOKEN_FILE", ""),
		auditKept: v.duration("AUDIT_RETENTION", 90*24*time.Hour, 7*24*time.Hour),
	}
}

// useOwnerToken lets the client ask for the owner's token at every request, as its file can change.
func useOwnerToken(c *config, log zerolog.Logger) (*owner.Token, error) {
	token, err := owner.NewToken(c.coder.Token())
	if c.upkeep.ownerFile != "" {
		token, err = owner.OpenToken(c.upkeep.ownerFile, log)
	}
	if err != nil {
		return nil, fmt.Errorf("CODER_OWNER_TOKEN: %w", err)
	}
	c.coder.Token, c.coder.Observe = token.Current, token.Observe
	return token, nil
}

// both tells two observers of every call.
func both(a, b coderclient.Observer) coderclient.Observer {
	return func(endpoint string, status int, took time.Duration) {
		a(endpoint, status, took)
		b(endpoint, status, took)
	}
}

func newOwnerKeeper(c config, token *owner.Token, coder *coderclient.Client, database *store.Store, log zerolog.Logger) *owner.Keeper {
	return &owner.Keeper{
		Token: token, Coder: coder, Ledger: database, Instance: c.options.Instance, Now: c.options.Now, Log: log,
	}
}

func newReconciler(c config, ring *hook.Keyring, database *store.Store, coder *coderclient.Client, registry *metrics.Registry) *hook.Reconciler {
	r := hook.NewReconciler(ring, database, coder, database, registry)
	r.Delete, r.Interval, r.Pause = c.upkeep.deletes, c.upkeep.interval, reconcilePause
	return r
}

// inBackground runs until ctx ends, or stop is called, which waits.
func inBackground(ctx context.Context, run ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, f := range run {
		running.Go(func() { f(ctx) })
	}
	return func() { cancel(); running.Wait() }
}

// withReconciler is for commands: it needs no hook, and so not its variables.
func withReconciler(env *environment, do func(*hook.Reconciler) error) error {
	return withParts(env, func(r *hook.Reconciler, _ *store.Store, _ *coderclient.Client) error { return do(r) })
}

func withParts(env *environment, do func(*hook.Reconciler, *store.Store, *coderclient.Client) error) error {
	v := &variables{get: env.getenv}
	c := config{logging: readLogging(v), database: readDatabase(v), coder: readCoder(v), options: readProvisioning(v), upkeep: readUpkeep(v)}
	if err := v.err(); err != nil {
		return configError(err)
	}
	log := newLog(c.logging, env.stderr)
	c.database.Replica = actor()
	database, err := store.Open(env.ctx, c.database)
	if err != nil {
		return err
	}
	defer database.Close()
	if _, err := useOwnerToken(&c, log); err != nil {
		return err
	}
	coder, err := coderclient.New(c.coder)
	if err != nil {
		return err
	}
	if err := database.CheckSecrets(env.ctx); err != nil {
		return err
	}
	registry := metrics.New()
	ring := hook.NewKeyring(c.options, database, coder, registry, log)
	defer ring.Stop(context.WithoutCancel(env.ctx)) //nolint:errcheck // nothing runs
	return do(newReconciler(c, ring, database, coder, registry), database, coder)
}
