package main

import (
	"context"
	"errors"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/store"

	"github.com/google/uuid"
)

// errReported ends the program with status 1 without another word.
var errReported = errors.New("failures were reported")

// doctorTimeout is for each of the parties that are asked.
const doctorTimeout = 15 * time.Second

type doctorCmd struct {
	JSON bool   `name:"json" help:"Print JSON."`
	URL  string `name:"url" placeholder:"URL" help:"The hook's address as Supabase Auth has it, with its path. It is called; nothing is created."`

	Token string `name:"token" placeholder:"FILE" help:"A file with a user's access token. Says whether it would be let in, and why not."`
}

// Run checks everything, also after a failure, and changes nothing.
func (cmd doctorCmd) Run(env *environment) error {
	d := &doctor{ctx: env.ctx, get: env.getenv, now: time.Now, url: cmd.URL, tokenFile: cmd.Token}
	d.examine()
	if err := d.print(env.stdout, cmd.JSON); err != nil {
		return err
	}
	if d.count(failure) > 0 {
		return errReported
	}
	return nil
}

// doctor looks for all that a deployment can get wrong.
type doctor struct {
	ctx    context.Context
	get    func(string) string
	now    func() time.Time
	url    string // of the running hook; "" not to call it
	config config.Config

	tokenFile string // with an access token to judge; "" for none

	elsewhere bool         // the database, and so Supabase Auth, is not on this machine itself
	skipped   []string     // what can't be checked, as a variable is unusable
	server    store.Server // the database's, once it was asked
	ledger    store.Ledger // likewise
	member    uuid.UUID    // some Coder user of the ledger, likewise

	coderVersion coderVersion // zero before Coder was asked
	report
}

func (d *doctor) examine() {
	d.checkVariables()
	d.checkSecrets()
	d.checkCertificate()
	d.within(d.checkDatabase)
	d.within(d.checkCoder)
	d.within(d.checkSupabase)
	if d.url == "" {
		d.ok("hook", "not called; give --url")
		return
	}
	d.within(d.checkHook)
}

// within keeps one party that hangs from hiding what is to be said of the others.
func (d *doctor) within(check func(context.Context)) {
	ctx, cancel := context.WithTimeout(d.ctx, doctorTimeout)
	defer cancel()
	check(ctx)
}
