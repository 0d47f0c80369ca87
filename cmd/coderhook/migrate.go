package main

import (
	"fmt"
	"strings"

	"coderhook/store"
)

type migrateCmd struct{}

// Run applies the migrations. It needs only the database's variables, as it runs with
// other rights than the server and often from another place.
func (migrateCmd) Run(env *environment) error {
	v := &variables{get: env.getenv}
	database := readDatabase(v)
	if err := v.err(); err != nil {
		return configError(err)
	}
	done, err := store.Migrate(env.ctx, database)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "The database is up to date: %s.\n", describe(done, database))
	return err
}

func describe(done store.Migration, database store.Config) string {
	var news []string
	for _, item := range []struct {
		added bool
		name  string
	}{
		{done.NewRole, "the role coderhook, which cannot log in yet: alter role coderhook login password '…'"},
		{done.NewLedger, "the ledger coderhook.accounts"},
		{done.NewProfiles, "the table " + database.ProfilesTable},
		{done.NewKeyColumn && !done.NewProfiles, "the column " + database.ProfilesKeyColumn + " of " + database.ProfilesTable},
	} {
		if item.added {
			news = append(news, item.name)
		}
	}
	if len(news) == 0 {
		return "nothing was missing"
	}
	return "added " + strings.Join(news, "; ")
}
