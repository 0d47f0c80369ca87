package main

import (
	"fmt"
	"os"

	"github.com/google/uuid"
)

type linkCmd struct {
	User      string `required:"" placeholder:"UUID" help:"The Supabase user."`
	CoderUser string `required:"" placeholder:"NAME" help:"The Coder account's username."`
	From      string `placeholder:"UUID" help:"The Supabase user whose the account is until now, where they are there but no longer have its address."`
	DryRun    bool   `help:"Only say what would be done."`
	Yes       bool   `help:"Do not ask."`
}

// Run says what the link means, asks, and does it.
func (cmd *linkCmd) Run(env *environment) error {
	id, err := parseUser(cmd.User)
	if err != nil {
		return err
	}
	from := uuid.Nil
	if cmd.From != "" {
		if from, err = parseUser(cmd.From); err != nil {
			return err
		}
	}
	return withParts(env, func(p parts) error {
		r := p.reconciler
		plan, err := r.PlanMove(env.ctx, id, cmd.CoderUser, from)
		if err != nil {
			return fmt.Errorf("not linked: %w", err)
		}
		fmt.Fprintf(env.stdout, "%s.\n", plan)
		if cmd.DryRun {
			return nil
		}
		if !cmd.Yes {
			if err := confirm(os.Stdin, env.stdout, linkQuestion); err != nil {
				return fmt.Errorf("not linked: %w", err)
			}
		}
		if err := r.Link(env.ctx, plan, actor()); err != nil {
			return err
		}
		_, err = fmt.Fprintln(env.stdout, "Linked. The user's next token has a key.")
		return err
	})
}

const linkQuestion = "Whoever signs in as this user gets into everything of that account. Link?"
