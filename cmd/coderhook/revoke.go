package main

import (
	"errors"
	"fmt"
	"os"

	"coderhook/cmd/internal/progress"
	"coderhook/hook/reconcile"
	"coderhook/store"
)

type revokeCmd struct {
	User      string `xor:"whom" required:"" placeholder:"UUID|E-MAIL" help:"The Supabase user."`
	Everybody bool   `xor:"whom" required:"" help:"All users who have a Coder account. Broken off, the same command goes on where it was."`
	AllTokens bool   `help:"Also the tokens that the users made themselves, and their sessions: a stolen key can have made others."`
	Why       string `placeholder:"TEXT" help:"For the audit trail."`
	Anew      bool   `help:"With --everybody: from the first user, also after a run that was broken off."`
	Yes       bool   `help:"With --everybody: do not ask."`
}

// Run ends keys in Coder, and has new ones made.
func (cmd *revokeCmd) Run(env *environment) error {
	return withParts(env, func(p parts) error {
		r, database := &reconcile.Revoker{Reconciler: p.reconciler, Book: p.database, Ender: p.coder}, p.database
		r.All, r.Why, r.Actor = cmd.AllTokens, cmd.Why, actor()
		if cmd.Everybody {
			return cmd.everybody(env, r, database)
		}
		user, err := oneUser(env.ctx, database, cmd.User)
		if err != nil {
			return err
		}
		done, err := r.Revoke(env.ctx, user)
		if err != nil {
			return fmt.Errorf("not all is revoked: %w", err)
		}
		_, err = fmt.Fprintf(env.stdout, "%s.\n", done)
		return err
	})
}

func (cmd *revokeCmd) everybody(env *environment, r *reconcile.Revoker, database *store.Store) error {
	all, err := accountsOf(env.ctx, database)
	if err != nil {
		return err
	}
	if !cmd.Yes {
		question := fmt.Sprintf("The keys of %d accounts are ended and made anew; who uses one now has to refresh the session. Revoke?", all)
		if err := confirm(os.Stdin, env.stdout, question); err != nil {
			return fmt.Errorf("nothing was revoked: %w", err)
		}
	}
	p := &revocations{Progress: progress.Start(env.stdout, "accounts", all)}
	err = r.Everybody(env.ctx, cmd.Anew, p.note)
	fmt.Fprintf(env.stdout, "%s: %d failed, %d without a new key yet\n", p.End(), p.failed, p.withoutKey)
	if env.ctx.Err() != nil {
		err = errors.New("stopped: the same command goes on from there")
	}
	if err == nil && p.failed > 0 {
		err = errors.New("of some users not all is revoked: they are named above; coderhook revoke --user does one of them")
	}
	return err
}

// revocations counts those of a run over many users.
type revocations struct {
	*progress.Progress
	failed, withoutKey int
}

// note tells of what failed at once.
func (p *revocations) note(done reconcile.Revocation, err error) {
	switch {
	case err != nil:
		p.failed++
		p.Say("user %s: not all is revoked: %v", done.User, err)
	case done.NoNewKey != nil:
		p.withoutKey++
	}
	p.Step()
}
