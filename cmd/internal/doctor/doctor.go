// Package doctor looks for all that a deployment can get wrong, and says what to do about it. It changes nothing.
package doctor

import (
	"context"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/store"

	"github.com/google/uuid"
)

// patience is for each of the parties that are asked.
const patience = 15 * time.Second

// Doctor looks at one deployment, once.
type Doctor struct {
	Getenv    func(string) string // required
	Now       func() time.Time    // required
	URL       string              // of the running hook; "" not to call it
	Gateway   string              // its address for pages; "" where URL tells it, or not to call it
	TokenFile string              // with an access token to judge; "" for none

	Report // what was found so far

	config    config.Config
	elsewhere bool         // the database, and so Supabase Auth, is not on this machine itself
	skipped   []string     // what can't be checked, as a variable is unusable
	server    store.Server // the database's, once it was asked
	ledger    store.Ledger // likewise
	member    uuid.UUID    // some Coder user of the ledger, likewise

	coderVersion coderVersion // zero before Coder was asked
}

// Examine checks everything, also after a failure.
func (d *Doctor) Examine(ctx context.Context) {
	d.checkVariables()
	d.checkSecrets()
	d.checkCertificate()
	d.checkKeyInClaims()
	within(ctx, d.checkDatabase)
	within(ctx, d.checkCoder)
	within(ctx, d.checkSupabase)
	within(ctx, d.checkGateway)
	if d.URL == "" {
		d.ok("hook", "not called; give --url")
		return
	}
	within(ctx, d.checkHook)
}

// within keeps one party that hangs from hiding what is to be said of the others.
func within(ctx context.Context, check func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	check(ctx)
}
