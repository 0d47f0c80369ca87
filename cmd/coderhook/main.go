// Command coderhook is the server behind Supabase Auth's Custom Access Token hook: it puts
// each user's Coder API key into the claims of their access token.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/remedy"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends us at once
	if err := run(ctx, os.Args[1:], config.Getenv, os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, errReported) {
			fmt.Fprintf(os.Stderr, "coderhook: %v\n", err)
		}
		os.Exit(1)
	}
}

// program is the command line. All settings are variables: README lists them.
type program struct {
	Serve     serveCmd     `cmd:"" help:"Answer Supabase Auth's hook."`
	Doctor    doctorCmd    `cmd:"" help:"Check all that a deployment can get wrong, and print the cure. Changes nothing."`
	Migrate   migrateCmd   `cmd:"" help:"Create or update the ledger, the profile's column and the database role. Can be run again at any time."`
	Reconcile reconcileCmd `cmd:"" help:"Take Coder access from users who are gone or banned, give it back to who is here again, and clean up. The server does so too, every RECONCILE_INTERVAL."`
	Link      linkCmd      `cmd:"" help:"Give a Supabase user an existing Coder account, on purpose."`
	Provision provisionCmd `cmd:"" help:"Make accounts and keys for all users before the hook is switched on. Broken off, the same command goes on."`
	Revoke    revokeCmd    `cmd:"" help:"End a user's keys in Coder, or everybody's, and have new ones made."`
	Audit     auditCmd     `cmd:"" help:"What was done about accounts and keys, by whom, and why."`
	Seal      sealCmd      `cmd:"" help:"Give the ledger's rows the seals that LEDGER_SECRET asks for, after a look at the accounts that they name."`
	Rotate    rotateCmd    `cmd:"" name:"rotate-keys" help:"Encrypt the keys in the profiles with the newest of KEY_ENCRYPTION_KEYS: plain ones, and those of older encryption keys."`
	Send      sendCmd      `cmd:"" help:"Sign an event as Supabase Auth does, post it to a running hook, and show what changed in the claims. This is a real mint: it can make a Coder user and a key."`
	Explain   explainCmd   `cmd:"" help:"What the server knows of a user, and what the next token mint would do and why."`
	Policy    policyCmd    `cmd:"" help:"Try the rules of a policy file."`
	Version   versionCmd   `cmd:"" help:"Print the version and its newest migration; with DATABASE_URL, also what the database lacks or has besides."`
}

// environment is what a command works with; tests give their own.
type environment struct {
	ctx            context.Context
	getenv         func(string) string
	stdout, stderr io.Writer
}

// run parses the command line and does what it says.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	exited := false
	parser, err := kong.New(&program{},
		kong.Name("coderhook"),
		kong.Description("The server behind Supabase Auth's Custom Access Token hook for products with Coder workspaces."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { exited = true }))
	if err != nil {
		return err
	}
	if len(args) == 0 {
		_, _ = parser.Parse([]string{"--help"}) // prints it
		return errReported
	}
	command, err := parser.Parse(args)
	if exited { // --help was printed
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; see coderhook --help", err)
	}
	return remedy.Explain(command.Run(&environment{ctx, getenv, stdout, stderr}))
}
