package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"coderhook/cmd/internal/exposure"
	"coderhook/store"
)

// keyGuard judges, and shuts, who can reach the keys, in the transaction of the migration.
type keyGuard struct {
	lock   bool
	locked []string // what was run
	found  exposure.Report
}

// shut is a step of the migration.
func (g *keyGuard) shut(ctx context.Context, i *store.Inspector) ([]string, error) {
	if !g.lock {
		return nil, nil
	}
	found, err := exposure.Look(ctx, i)
	g.locked = found.Lock()
	return g.locked, err
}

// judge is the step after it.
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

// cure is what the owner of the tables can do.
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
