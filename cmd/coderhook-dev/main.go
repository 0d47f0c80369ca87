// Command coderhook-dev runs coderhook on one machine, with nothing to set up: a throwaway
// PostgreSQL, a fake Coder and the real server. It replays one token mint and shows what
// happened, and then goes on serving.
//
// With DATABASE_URL set it uses that database instead (say, that of `supabase start`), with
// CODER_URL and CODER_OWNER_TOKEN set a real Coder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "coderhook-dev: %v\n", err)
		os.Exit(1)
	}
}

// run starts the stack, mints two sample tokens, and serves until ctx ends.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	flags := flag.NewFlagSet("coderhook-dev", flag.ContinueOnError)
	once := flags.Bool("once", false, "end after the sample mint: with status 0 if it gave a key")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp): // it was printed
		return nil
	case err != nil:
		return err
	}
	s, err := newStack(ctx, getenv, out)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.showMints(ctx); err != nil {
		return err
	}
	if *once {
		return nil
	}
	s.showUse()
	return s.wait(ctx)
}
