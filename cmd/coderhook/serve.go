package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"coderhook/coderclient"
	"coderhook/hook"
	"coderhook/store"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

const (
	// stopTimeout is for running requests and for keys that are not stored yet.
	stopTimeout = 45 * time.Second
	// watchInterval is how often a Coder that is down is asked whether it is back.
	watchInterval = time.Second
)

type serveCmd struct{}

// Run serves until the context ends, then drains.
func (serveCmd) Run(env *environment) error {
	c, err := readConfig(env.getenv)
	if err != nil {
		return configError(err)
	}
	log := newLog(c.logging, env.stderr)
	database, err := store.Open(env.ctx, c.database)
	if err != nil {
		return err
	}
	defer database.Close()
	if err := hook.CheckLifetime(env.ctx, database, c.options.TokenLifetime, log); err != nil {
		return configError(err)
	}
	owner, err := useOwnerToken(&c, log)
	if err != nil {
		return err
	}
	coder, err := coderclient.New(c.coder)
	if err != nil {
		return err
	}
	provisioner := hook.NewProvisioner(c.options, database, coder, log)
	keeper := newOwnerKeeper(c, owner, coder, database, log)
	server := &hook.Server{
		Verifier:      c.verifier,
		Policy:        c.policy,
		Accounts:      database,
		Provisioner:   provisioner,
		Deadline:      c.deadline,
		RejectOnError: c.reject,
		Now:           time.Now,
		Log:           log,
		Checks: map[string]hook.Check{
			"database":    {Required: true, Run: database.Ping},
			"coder":       {Run: coder.Probe},
			"owner_token": {Run: keeper.Check},
		},
	}
	go watch(env.ctx, coder)
	defer inBackground(env.ctx, keeper.Run, newReconciler(c, provisioner, database).Run)() // ends before the database closes
	return listen(env.ctx, c, server, provisioner, log)
}

// listen serves until ctx ends, and then leaves in the order that loses nothing.
func listen(ctx context.Context, c config, server *hook.Server, provisioner *hook.Provisioner, log zerolog.Logger) error {
	door, err := openFrontDoor(ctx, c.listen, server.Handler())
	if err != nil {
		return fmt.Errorf("LISTEN_ADDR: %w", err)
	}
	log.Info().Stringer("addr", door.Addr()).Str("version", version).Msg("listening")
	select {
	case err := <-door.served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	log.Info().Msg("draining")
	server.Drain()
	time.Sleep(c.drainDelay) // the load balancer and kept-alive connections learn that we leave
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err = errors.Join(door.close(stopCtx), provisioner.Stop(stopCtx))
	log.Info().Err(err).Msg("stopped")
	return err
}

// watch finds out that Coder is back without making anybody's sign-in wait for the answer.
func watch(ctx context.Context, coder *coderclient.Client) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if !coder.Available() {
				_ = coder.Probe(ctx) // its success closes the breaker; its failure is known
			}
		}
	}
}

func newLog(l logging, w io.Writer) zerolog.Logger {
	terminal := false
	if file, ok := w.(*os.File); ok {
		terminal = isatty.IsTerminal(file.Fd())
	}
	if l.format == "console" || l.format == "auto" && terminal {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	level, _ := zerolog.ParseLevel(l.level) // one of the known ones
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}
