// Command bench measures coderhook against other ways to do its job: the floor of what a server in Go can cost, a
// function in the database, and an Edge Function on Deno. All of them run on this machine, with one PostgreSQL, and
// take turns, so that what else goes on here hits them alike.
//
//	npm ci --prefix testdata/bench
//	go run ./cmd/internal/bench -write
//
// It prints lines for benchstat. With -write it keeps them in testdata/bench, with a table and a plot of them, and puts
// the main figures into README.
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
	"time"

	"coderhook/cmd/internal/process"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// options say how much to measure.
type options struct {
	rounds int
	round  time.Duration
	mints  int
	starts int
	users  int
	admin  string
	write  bool
}

func readOptions(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 10, "how often each server has its turn")
	flags.DurationVar(&o.round, "time", 2*time.Second, "how long a turn is")
	flags.IntVar(&o.mints, "mints", 1_000_000, "tokens that coderhook mints before its memory is read")
	flags.IntVar(&o.starts, "starts", 10, "how often the start of coderhook is timed")
	flags.IntVar(&o.users, "users", 10_000, "users with a key")
	flags.StringVar(&o.admin, "admin", "127.0.0.1:0", "coderhook's ADMIN_ADDR, for a profile")
	flags.BoolVar(&o.write, "write", false, "keep the results in testdata/bench, and the main figures in README")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if min(o.rounds, o.starts, o.users, int(o.round)) < 1 {
		return o, errors.New("-rounds, -time, -starts and -users have to be more than nothing")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := readOptions(args)
	if errors.Is(err, flag.ErrHelp) { // it was printed
		return nil
	}
	if err != nil {
		return err
	}
	root, err := process.Root(ctx)
	if err != nil {
		return err
	}
	results, err := measure(ctx, root, o, out)
	if err != nil || !o.write {
		return err
	}
	return results.write(root)
}
