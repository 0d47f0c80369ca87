package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coderhook/cmd/internal/progress"
	"coderhook/store"
)

type reconcileCmd struct {
	DryRun bool `help:"Only say what would be done."`
	Force  bool `help:"Also when a fifth of all users is gone at once."`
}

// Run reconciles once and prints every deed, and a summary at the end.
func (cmd *reconcileCmd) Run(env *environment) error {
	return withParts(env, func(p parts) error {
		r := p.reconciler
		r.Force = cmd.Force
		prefix := ""
		if cmd.DryRun {
			prefix = "would be: "
		}
		all, err := accountsOf(env.ctx, p.database)
		if err != nil {
			return err
		}
		shown := progress.Start(env.stdout, "accounts", all)
		r.Tell, r.Seen = func(deed string) { shown.Say("%s", prefix+deed) }, shown.Step
		sum, err := r.Reconcile(env.ctx, cmd.DryRun)
		_ = shown.End() // the summary says more
		fmt.Fprintln(env.stdout, prefix+sum.String())
		if env.ctx.Err() != nil {
			return errors.New("stopped: what is done is done, and the same command does the rest")
		}
		if err == nil && sum.Failed > 0 {
			err = fmt.Errorf("%d accounts could not be reconciled: the reasons are above", sum.Failed)
		}
		return err
	})
}

// accountsOf counts the ledger's accounts.
func accountsOf(ctx context.Context, database *store.Store) (all int, err error) {
	census, err := database.Census(ctx, time.Now())
	for _, n := range census.Accounts {
		all += int(n)
	}
	return all, err
}
