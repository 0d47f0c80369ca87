package main

import (
	"errors"
	"fmt"
	"os"
	"time"

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
	census, err := database.Census(env.ctx, time.Now())
	if err != nil {
		return err
	}
	all := 0
	for _, n := range census.Accounts {
		all += int(n)
	}
	if !cmd.Yes {
		question := fmt.Sprintf("The keys of %d accounts are ended and made anew; who uses one now has to refresh the session. Revoke?", all)
		if err := confirm(os.Stdin, env.stdout, question); err != nil {
			return fmt.Errorf("nothing was revoked: %w", err)
		}
	}
	p := &progress{all: all, began: time.Now()}
	err = r.Everybody(env.ctx, cmd.Anew, func(done reconcile.Revocation, err error) { p.note(env, done, err) })
	fmt.Fprintln(env.stdout, p)
	if err == nil && p.failed > 0 {
		err = errors.New("of some users not all is revoked: they are named above; coderhook revoke --user does one of them")
	}
	return err
}

// progressPause is how often a long run says how far it is.
const progressPause = 10 * time.Second

// progress counts a run over many users.
type progress struct {
	all, done, failed, withoutKey int
	began, said                   time.Time
}

func (p *progress) String() string {
	return fmt.Sprintf("%d of about %d accounts in %s: %d failed, %d without a new key yet",
		p.done, p.all, time.Since(p.began).Round(time.Second), p.failed, p.withoutKey)
}

// note tells of what failed at once, and of the rest now and then.
func (p *progress) note(env *environment, done reconcile.Revocation, err error) {
	p.done++
	switch {
	case err != nil:
		p.failed++
		fmt.Fprintf(env.stdout, "user %s: not all is revoked: %v\n", done.User, err)
	case done.NoNewKey != nil:
		p.withoutKey++
	}
	if now := time.Now(); now.Sub(p.said) >= progressPause {
		p.said = now
		fmt.Fprintln(env.stdout, p)
	}
}
