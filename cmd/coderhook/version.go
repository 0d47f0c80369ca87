package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/store"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version = "dev"

// commit is set likewise, where the build does not see the repository: -X main.commit=…
var commit = ""

// schemaPatience bounds the look at a database.
const schemaPatience = 10 * time.Second

type versionCmd struct{}

// Run prints the version, the commit it was built from, Go's version and the newest migration. With DATABASE_URL it
// compares the database with that, and the error is errReported if that lacks something.
func (versionCmd) Run(env *environment) error {
	files := store.Migrations()
	_, err := fmt.Fprintf(env.stdout, "coderhook %s (%s) %s %s/%s\nmigrations: %d, to %s\n", version, builtFrom(), runtime.Version(), runtime.GOOS, runtime.GOARCH,
		len(files), files[len(files)-1])
	if err != nil || env.getenv("DATABASE_URL")+env.getenv("DATABASE_URL_FILE") == "" {
		return err
	}
	database, err := config.ReadDatabase(env.getenv)
	if err != nil {
		return config.Explain(err)
	}
	ctx, cancel := context.WithTimeout(env.ctx, schemaPatience)
	defer cancel()
	schema, err := readSchema(ctx, database)
	if err != nil {
		return err
	}
	if _, err = io.WriteString(env.stdout, describeSchema(schema)); err != nil || len(schema.Missing) == 0 {
		return err
	}
	return errReported
}

func readSchema(ctx context.Context, database store.Config) (store.Schema, error) {
	i, err := store.Inspect(ctx, database)
	if err != nil {
		return store.Schema{}, err
	}
	defer i.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	return i.Schema(ctx)
}

// describeSchema tells what is to be done about a difference, if anything.
func describeSchema(schema store.Schema) string {
	var text strings.Builder
	for _, lack := range schema.Missing {
		fmt.Fprintf(&text, "database: lacks the %s (%s)\n", lack.What, lack.Migration)
	}
	for _, what := range schema.Unknown {
		fmt.Fprintf(&text, "database: has the %s, which a newer version made; this one can run beside it\n", what)
	}
	switch {
	case len(schema.Missing) > 0:
		text.WriteString("run coderhook migrate, or supabase db push, before this version runs\n")
	case len(schema.Unknown) == 0:
		text.WriteString("database: has all of them\n")
	}
	return text.String()
}

// builtFrom returns the commit, as the build was told or as Go noted it.
func builtFrom() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown commit"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "unknown commit"
}
