package main

import (
	"context"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/serve"
	"coderhook/coderclient"
	"coderhook/hook/keyring"
	"coderhook/hook/metrics"
	"coderhook/hook/reconcile"
	"coderhook/hook/rules"
	"coderhook/store"
)

// parts are what commands work with that do a part of the server's work.
type parts struct {
	config     config.Config
	database   *store.Store
	coder      *coderclient.Client
	reconciler *reconcile.Reconciler
	ring       *keyring.Keyring
}

// withParts opens the parts for a command. It needs no hook, and so not its variables.
func withParts(env *environment, do func(parts) error) error {
	c, err := config.ReadWithoutHook(env.getenv)
	if err != nil {
		return config.Explain(err)
	}
	log := c.Logging.Logger(env.stderr)
	c.Database.Replica = actor()
	database, err := store.Open(env.ctx, c.Database)
	if err != nil {
		return err
	}
	defer database.Close()
	owner, err := c.OpenOwnerToken(log)
	if err != nil {
		return err
	}
	c.Coder.Token, c.Coder.Observe = owner.Current, owner.Observe
	coder, err := coderclient.New(c.Coder)
	if err != nil {
		return err
	}
	if err := database.CheckSecrets(env.ctx); err != nil {
		return err
	}
	if err := database.CheckEncryptionKeys(env.ctx); err != nil {
		return err
	}
	registry := metrics.New()
	ring := keyring.New(c.Provisioning, database, coder, registry, log)
	if c.Rules.Policy != nil {
		ring.Rules = rules.NewLive(c.Rules.Source, c.Rules.Policy, registry, log)
	}
	mayMake, stop := serve.WatchKeys(env.ctx, database.Inspector(), c, log)
	defer stop()
	ring.Provisioner.MayMake = mayMake
	defer ring.Stop(context.WithoutCancel(env.ctx)) //nolint:errcheck // nothing runs
	return do(parts{c, database, coder, serve.NewReconciler(c, ring, database, coder, registry), ring})
}
