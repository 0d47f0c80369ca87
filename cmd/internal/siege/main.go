// Command siege attacks a running coderhook as strangers can, one way after the other, and tells what sign-ins notice
// of it: how many failed, how long they took, and how much memory the server took meanwhile.
//
//	go run ./cmd/internal/siege
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"coderhook/cmd/internal/siege/attack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "siege: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("siege", flag.ContinueOnError)
	lasts := flags.Duration("time", 15*time.Second, "how long each attack lasts")
	only := flags.String("only", "", "run only the attacks with this in their name")
	apart := flags.Bool("apart", false, "attack the front end's own port instead of the hook's")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) { // it was printed
		return nil
	} else if err != nil {
		return err
	}
	w, err := newWorld(ctx)
	defer func() { _ = w.close() }()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "| attack | mints | failed | p50 | p99 | max | memory |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	peace := attack.Attack{Name: "none", Run: func(ctx context.Context, _ attack.Target, ready func()) { ready(); <-ctx.Done() }}
	for _, a := range append([]attack.Attack{peace}, attack.All...) {
		if !strings.Contains(a.Name, *only) {
			continue
		}
		result, err := w.suffer(ctx, a, *lasts, *apart)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		fmt.Fprintf(out, "| %s | %s |\n", a.Name, result)
	}
	return nil
}
