package main

import (
	"encoding/json"
	"fmt"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/store"

	"github.com/google/uuid"
)

type auditCmd struct {
	User  string `placeholder:"UUID|E-MAIL" help:"Only what happened to this Supabase user."`
	Since string `default:"24h" placeholder:"DURATION|TIME" help:"From when on: 36h, or 2026-11-25T08:00:00Z."`
	JSON  bool   `name:"json" help:"Print a line of JSON for each."`
}

// Run prints the audit trail, the oldest row first. It needs only the database's variables.
func (cmd auditCmd) Run(env *environment) error {
	since, err := sinceWhen(cmd.Since, time.Now())
	if err != nil {
		return err
	}
	cfg, err := config.ReadDatabase(env.getenv)
	if err != nil {
		return config.Explain(err)
	}
	database, err := store.Open(env.ctx, cfg)
	if err != nil {
		return err
	}
	defer database.Close()
	user := uuid.Nil
	if cmd.User != "" {
		if user, err = oneUser(env.ctx, database, cmd.User); err != nil {
			return err
		}
	}
	say := func(e store.Event) error { return printEvent(env, e) }
	if cmd.JSON {
		encoder := json.NewEncoder(env.stdout)
		encoder.SetEscapeHTML(false)
		say = func(e store.Event) error { return encoder.Encode(e) }
	}
	return database.Events(env.ctx, user, since, say)
}

// sinceWhen reads --since: so long before now, or a time.
func sinceWhen(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("--since: %q is neither a duration like 36h nor a time like 2026-11-25T08:00:00Z", text)
	}
	return at, nil
}

func printEvent(env *environment, e store.Event) error {
	line := fmt.Sprintf("%s  %-14s user %s", e.At.UTC().Format(time.RFC3339), e.Action, e.UserID)
	if e.CoderUserID != uuid.Nil {
		line += "  Coder user " + e.CoderUserID.String()
	}
	if e.KeyID != "" {
		line += "  key " + e.KeyID
	}
	if e.Detail != "" {
		line += "  " + e.Detail
	}
	_, err := fmt.Fprintln(env.stdout, line+"  by "+e.Actor)
	return err
}
