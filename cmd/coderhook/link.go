package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"coderhook/hook"

	"github.com/google/uuid"
	"github.com/mattn/go-isatty"
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
	return withReconciler(env, func(r *hook.Reconciler) error {
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

// parseUser reads --user.
func parseUser(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return id, fmt.Errorf("--user %q is not a UUID", text)
	}
	return id, nil
}

const linkQuestion = "Whoever signs in as this user gets into everything of that account. Link?"

// confirm asks a person. Where there is none, nothing is done without --yes.
func confirm(in *os.File, out io.Writer, question string) error {
	if !isatty.IsTerminal(in.Fd()) {
		return errors.New("nobody is there to ask: confirm with --yes")
	}
	return ask(in, out, question)
}

func ask(in io.Reader, out io.Writer, question string) error {
	fmt.Fprint(out, question+" [y/N] ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("not confirmed")
	}
	return nil
}

// actor is who runs the command, for the audit line.
func actor() string {
	name := "unknown"
	if me, err := user.Current(); err == nil {
		name = me.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
