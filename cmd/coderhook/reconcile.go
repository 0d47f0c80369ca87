package main

import (
	"fmt"
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
		r.Tell = func(deed string) { fmt.Fprintln(env.stdout, prefix+deed) }
		sum, err := r.Reconcile(env.ctx, cmd.DryRun)
		fmt.Fprintln(env.stdout, prefix+sum.String())
		if err == nil && sum.Failed > 0 {
			err = fmt.Errorf("%d accounts could not be reconciled: the reasons are above", sum.Failed)
		}
		return err
	})
}
