package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/coderclient"
	"coderhook/hook"
	"coderhook/store"

	"github.com/rs/zerolog"
)

// reconcilePause keeps a run over many accounts below eight calls of Coder a second or so.
const reconcilePause = 250 * time.Millisecond

// useOwnerToken lets the client ask for the owner's token at every request, as its file can change.
func useOwnerToken(c *config.Config, log zerolog.Logger) (*hook.OwnerToken, error) {
	owner, err := hook.NewOwnerToken(c.Coder.Token())
	if c.Upkeep.OwnerFile != "" {
		owner, err = hook.OpenOwnerToken(c.Upkeep.OwnerFile, log)
	}
	if err != nil {
		return nil, fmt.Errorf("CODER_OWNER_TOKEN: %w", err)
	}
	c.Coder.Token, c.Coder.Observe = owner.Current, owner.Observe
	return owner, nil
}

// both tells two observers of every call.
func both(a, b coderclient.Observer) coderclient.Observer {
	return func(endpoint string, status int, took time.Duration) {
		a(endpoint, status, took)
		b(endpoint, status, took)
	}
}

func newOwnerKeeper(c config.Config, owner *hook.OwnerToken, coder *coderclient.Client, database *store.Store, log zerolog.Logger) *hook.OwnerKeeper {
	return &hook.OwnerKeeper{
		Token: owner, Coder: coder, Ledger: database, Instance: c.Provisioning.Instance, Now: c.Provisioning.Now, Log: log,
	}
}

func newReconciler(c config.Config, provisioner *hook.Provisioner, database *store.Store) *hook.Reconciler {
	return &hook.Reconciler{
		Provisioner: provisioner, Register: database,
		Delete: c.Upkeep.Deletes, Interval: c.Upkeep.Interval, Pause: reconcilePause,
	}
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
	c, err := config.ReadWithoutHook(env.getenv)
	if err != nil {
		return config.Explain(err)
	}
	log := newLog(c.Logging, env.stderr)
	c.Database.Replica = actor()
	database, err := store.Open(env.ctx, c.Database)
	if err != nil {
		return err
	}
	defer database.Close()
	if _, err := useOwnerToken(&c, log); err != nil {
		return err
	}
	coder, err := coderclient.New(c.Coder)
	if err != nil {
		return err
	}
	if err := database.CheckSecrets(env.ctx); err != nil {
		return err
	}
	provisioner := hook.NewProvisioner(c.Provisioning, database, coder, log)
	defer provisioner.Stop(context.WithoutCancel(env.ctx)) //nolint:errcheck // nothing runs
	return do(newReconciler(c, provisioner, database), database, coder)
}
