package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/exposure"
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

// keyGuard judges, and shuts, who can reach the keys, in the transaction of the migration.
type keyGuard struct {
	lock   bool
	locked []string // what was run
	found  exposure.Report
}

// shut takes the rights on the keys away, where that is asked for. It is a step of the migration.
func (g *keyGuard) shut(ctx context.Context, i *store.Inspector) ([]string, error) {
	if !g.lock {
		return nil, nil
	}
	found, err := exposure.Look(ctx, i)
	g.locked = found.Lock()
	return g.locked, err
}

// judge looks who can reach the keys. It is the step after shut.
func (g *keyGuard) judge(ctx context.Context, i *store.Inspector) (_ []string, err error) {
	g.found, err = exposure.Look(ctx, i)
	return nil, err
}

// report prints what was locked, and who reads the keys all the same. Then the error is errReported, unless that
// is allowed.
func (g *keyGuard) report(w io.Writer, allowed bool) error {
	var text strings.Builder
	if len(g.locked) > 0 {
		text.WriteString("The keys are locked against the Data API:\n" + setOff(g.locked) +
			"From now on select('*') is refused there, so name the columns in the front end. Columns that are added later have to be granted by name.\n")
	} else if g.lock {
		text.WriteString("The keys are locked against the Data API; nothing was to be done.\n")
	}
	readers := g.found.Readers()
	for _, who := range readers {
		fmt.Fprintf(&text, "Everybody can read the keys of all users: %s.\n", who)
	}
	writers := g.found.Writers()
	for _, who := range writers {
		fmt.Fprintf(&text, "Users can plant a key: %s.\n", who)
	}
	if len(readers) > 0 {
		text.WriteString("No new key is made while that is so.\n")
	}
	if len(readers)+len(writers) > 0 {
		text.WriteString(g.cure())
	}
	for _, who := range g.found.Doubts() {
		fmt.Fprintf(&text, "It could not be judged whether others can read keys: %s; coderhook doctor says more.\n", who)
	}
	if _, err := io.WriteString(w, text.String()); err != nil || len(readers) == 0 || allowed {
		return err
	}
	return errReported
}

// cure returns what the owner of the tables can do.
func (g *keyGuard) cure() string {
	sql := g.found.Lock()
	if len(sql) == 0 {
		return "No grant lets them: take the membership or attribute from them that does; coderhook doctor says more.\n"
	}
	return "To mend it, run coderhook migrate --lock-keys as the tables' owner, or this SQL; then name the columns in the front end, as select('*') is refused:\n" + setOff(sql)
}

func setOff(sql []string) string {
	return "  " + strings.Join(sql, "\n  ") + "\n"
}
