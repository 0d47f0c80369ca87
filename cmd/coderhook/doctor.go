package main

import (
	"errors"
	"time"

	"coderhook/cmd/internal/doctor"
)

// errReported ends the program with status 1 without another word.
var errReported = errors.New("failures were reported")

type doctorCmd struct {
	JSON    bool   `name:"json" help:"Print JSON."`
	URL     string `name:"url" placeholder:"URL" help:"The hook's address as Supabase Auth has it, with its path. It is called; nothing is created."`
	Gateway string `name:"gateway" placeholder:"URL" help:"The gateway's address as pages have it, like https://YOUR-HOST/coder. It is called; nothing is created. Where it is at the hook's port, --url is enough."`
	Token   string `name:"token" placeholder:"FILE" help:"A file with a user's access token. Says whether it would be let in, and why not."`
}

// Run checks everything, also after a failure, and changes nothing.
func (cmd doctorCmd) Run(env *environment) error {
	d := &doctor.Doctor{Getenv: env.getenv, Now: time.Now, URL: cmd.URL, Gateway: cmd.Gateway, TokenFile: cmd.Token}
	d.Examine(env.ctx)
	if err := d.Print(env.stdout, cmd.JSON); err != nil {
		return err
	}
	if d.Count(doctor.Failure) > 0 {
		return errReported
	}
	return nil
}
