package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"coderhook/cmd/internal/exposure"
	"coderhook/cmd/internal/progress"
	"coderhook/hook/ahead"
	"coderhook/hook/policy"
	"coderhook/hook/rules"
	"coderhook/store"

	"golang.org/x/time/rate"
)

type provisionCmd struct {
	All    bool   `required:"" help:"For all users of auth.users whom the rules give a key: not anonymous, banned or deleted, and with an e-mail address."`
	Where  string `placeholder:"CEL" help:"Only those for whom this condition holds, written as in POLICY_FILE."`
	DryRun bool   `help:"Only count."`
	Rate   int    `placeholder:"N" help:"At most so many users a minute; otherwise as many as Coder takes."`
}

// accessTokenLife is that of Supabase's access tokens, where none was seen yet.
const accessTokenLife = time.Hour

// coderRest is how long a Coder that is down is waited for.
const coderRest = 2 * time.Minute

// Run counts first, then makes what is missing.
func (cmd *provisionCmd) Run(env *environment) error {
	if cmd.Rate < 0 {
		return errors.New("--rate: want a number of users a minute, from 1 on")
	}
	return withParts(env, func(p parts) error {
		r, err := cmd.runner(env.ctx, p)
		if err != nil {
			return err
		}
		plan, err := r.Plan(env.ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "%d users may sign in: %d have a key, %d get one (%d with a new account).\n", plan.Users, plan.Have, plan.Make, plan.Accounts)
		tellNone(env.stdout, plan.None)
		if cmd.DryRun {
			return nil
		}
		if plan.Make > 0 {
			fmt.Fprintf(env.stdout, "It takes about %s.\n", max(plan.Takes(cmd.Rate), time.Second).Round(time.Second))
		}
		return cmd.run(env, p, r, plan)
	})
}

// runner puts together what the run needs.
func (cmd *provisionCmd) runner(ctx context.Context, p parts) (*ahead.Runner, error) {
	p.ring.Provisioner.Backlog = 0 // who fails is tried again here
	life, _, err := p.database.Lives(ctx)
	if err != nil {
		return nil, err
	}
	r := &ahead.Runner{
		Users: p.database, Keys: p.ring, Coder: p.coder, Policy: p.config.Policy, ConfirmedOnly: p.config.Provisioning.ConfirmedOnly,
		MayMake: func(ctx context.Context) error { return mayMake(ctx, p) }, Workers: p.config.Provisioning.Concurrency,
		Rate: rate.Limit(float64(cmd.Rate) / 60), TokenLife: cmp.Or(life, accessTokenLife), Patience: coderRest, Now: time.Now,
	}
	if cmd.Where == "" {
		return r, nil
	}
	where, err := rules.Compile(cmd.Where, p.config.Database.PolicyColumns)
	if err != nil {
		return nil, fmt.Errorf("--where: %w", err)
	}
	r.Where = func(f store.UserFacts) (bool, error) {
		truth, err := where.Holds(rules.OfUser(f))
		return truth == rules.Yes, err
	}
	return r, nil
}

// mayMake is nil where a key may be made.
func mayMake(ctx context.Context, p parts) error {
	found, err := exposure.Look(ctx, p.database.Inspector())
	if err == nil && len(found.Readers()) > 0 && !p.config.AllowReadable {
		err = errors.New("everybody can read the keys: run coderhook migrate --lock-keys first")
	}
	return err
}

func (cmd *provisionCmd) run(env *environment, p parts, r *ahead.Runner, plan ahead.Plan) error {
	run := &provisioning{Progress: progress.Start(env.stdout, "users", plan.Users), none: make(map[string]int)}
	err := r.Run(env.ctx, run.note)
	p.ring.Wait() // until what was made is stored
	fmt.Fprintf(env.stdout, "%s: %d keys made, %d were there.\n", run.End(), run.made, run.had)
	tellNone(env.stdout, run.none)
	const again = "the same command goes on, and skips who has a key"
	switch {
	case env.ctx.Err() != nil:
		return errors.New("stopped: " + again)
	case err != nil:
		return fmt.Errorf("broken off: %w; %s", err, again)
	case run.none[ahead.NoneConflict]+run.none[ahead.NoneFailed] > 0:
		return errors.New("some users have no key: they are named above; coderhook explain --user says more")
	}
	return nil
}

// provisioning counts what came of the users.
type provisioning struct {
	*progress.Progress
	made, had int
	none      map[string]int
}

func (p *provisioning) note(o ahead.Outcome) {
	switch {
	case o.None != "":
		p.none[o.None]++
		if o.Err != nil {
			p.Say("user %s: %v", o.User, o.Err)
		}
	case o.Made:
		p.made++
	default:
		p.had++
	}
	p.Step()
}

// tellNone says why users get no key.
func tellNone(w io.Writer, none map[string]int) {
	for _, why := range slices.Sorted(maps.Keys(none)) {
		text := why
		if do := policy.Cure(why); do != "" {
			text += " (" + do + ")"
		}
		fmt.Fprintf(w, "  without a key: %d: %s\n", none[why], text)
	}
}
