package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"coderhook/cmd/internal/config"
	"coderhook/hook/reconcile"

	"github.com/google/uuid"
)

type sealCmd struct {
	User   string `placeholder:"UUID" help:"Seal this user's row as it is, also one that was changed by somebody else: look at it first, with explain."`
	DryRun bool   `help:"Only count."`
	Yes    bool   `help:"Do not ask."`
}

// Run counts the ledger's rows by their seals, asks, and seals those that need it.
func (cmd *sealCmd) Run(env *environment) error {
	return withParts(env, func(p parts) error {
		s := &reconcile.Sealing{Reconciler: p.reconciler}
		if cmd.User != "" {
			id, err := parseUser(cmd.User)
			if err != nil {
				return err
			}
			s.Only = id
		}
		if len(p.config.Database.LedgerSecrets) == 0 {
			return fmt.Errorf("%s is not set; make one with: %s", config.LedgerSecretVariable, config.MakeLedgerSecret)
		}
		n, err := s.Count(env.ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "%d rows are sealed, %d with a secret that is being replaced, %d have no seal, the seals of %d do not fit.\n", n.Good+n.Old, n.Old, n.None, n.Broken)
		if cmd.DryRun {
			return nil
		}
		if !cmd.Yes {
			if err := sealingConfirmed(os.Stdin, env.stdout, s.Only); err != nil {
				return fmt.Errorf("not sealed: %w", err)
			}
		}
		return cmd.seal(env.ctx, env.stdout, s)
	})
}

func (cmd *sealCmd) seal(ctx context.Context, w io.Writer, s *reconcile.Sealing) error {
	sealed, doubtful, err := s.Run(ctx, func(line string) { fmt.Fprintln(w, line) })
	fmt.Fprintf(w, "%d rows sealed.\n", sealed)
	switch {
	case err != nil:
		return err
	case doubtful > 0:
		return fmt.Errorf("%d rows are left: see above, and seal those that are right with: coderhook seal --user UUID", doubtful)
	case s.Only != uuid.Nil && sealed == 0:
		return fmt.Errorf("user %s has no row that needs a seal", s.Only)
	}
	return nil
}

func sealingConfirmed(in *os.File, out io.Writer, only uuid.UUID) error {
	question := "Seal those without one whose accounts Coder shows to be their users' own?"
	if only != uuid.Nil {
		question = "Whatever that row says is believed from then on. Seal it?"
	}
	return confirm(in, out, question)
}
