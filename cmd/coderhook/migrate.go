package main

import (
	"fmt"
	"strings"

	"coderhook/cmd/internal/config"
	"coderhook/store"
)

type migrateCmd struct {
	LockKeys          bool `name:"lock-keys" help:"Also take the rights on the keys from the Data API's roles, and leave them those on all other columns."`
	AllowReadableKeys bool `name:"allow-readable-keys" help:"Exit with status 0 even if everybody can read the keys."`
	NoTrigger         bool `name:"no-trigger" help:"Without the triggers on auth.users that tell at once who leaves; drops them where they are. The server then looks every 30 seconds."`
}

// Run applies the migrations. It needs only the database's variables, as it runs with
// other rights than the server and often from another place.
func (cmd migrateCmd) Run(env *environment) error {
	database, err := config.ReadDatabase(env.getenv)
	if err != nil {
		return config.Explain(err)
	}
	database.NoTrigger = cmd.NoTrigger
	keys := keyGuard{lock: cmd.LockKeys}
	done, err := store.Migrate(env.ctx, database, keys.shut, keys.judge)
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintf(env.stdout, "The database is up to date: %s.\n%s", describe(done, database), describeTriggers(done, database)); err != nil {
		return err
	}
	return keys.report(env.stdout, cmd.AllowReadableKeys)
}

// describeTriggers tells when who leaves is noticed late.
func describeTriggers(done store.Migration, database store.Config) string {
	const late = "who is deleted or banned is noticed within 30 seconds.\n"
	switch {
	case done.Watched:
		return ""
	case database.NoTrigger:
		return "There are no triggers on auth.users: " + late
	}
	return "There are no triggers on auth.users, as there is no such table or the role of the database URL may not make them: " + late
}

// describe tells what is new, and what was not given or taken by somebody else before.
func describe(done store.Migration, database store.Config) string {
	var added []string
	for _, item := range []struct {
		added bool
		name  string
	}{
		{done.NewRole, "the role coderhook, which cannot log in yet: alter role coderhook login password '…'"},
		{done.NewLedger, "the ledger coderhook.accounts, with all that belongs to it"},
		{done.NewProfiles, "the table " + database.ProfilesTable},
		{done.NewKeyColumn && !done.NewProfiles, "the column " + database.ProfilesKeyColumn + " of " + database.ProfilesTable},
	} {
		if item.added {
			added = append(added, item.name)
		}
	}
	for _, name := range done.Added {
		if !done.NewLedger || strings.HasPrefix(name, "the policy ") {
			added = append(added, name)
		}
	}
	var changes []string
	if len(added) > 0 {
		changes = append(changes, "added "+strings.Join(added, "; "))
	}
	if done.Given > 0 {
		changes = append(changes, fmt.Sprintf("rights given: %d", done.Given))
	}
	if done.Taken > 0 {
		changes = append(changes, fmt.Sprintf("rights taken away: %d", done.Taken))
	}
	if len(changes) == 0 {
		return "nothing was missing"
	}
	return strings.Join(changes, "; ")
}
