package main

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/coderclient"
	"coderhook/hook"
	"coderhook/store"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// stopTimeout is for running requests and for keys that are not stored yet.
const stopTimeout = 45 * time.Second

type serveCmd struct{}

// Run serves until the context ends, then drains.
func (serveCmd) Run(env *environment) error {
	c, err := config.Read(env.getenv)
	if err != nil {
		return config.Explain(err)
	}
	spendMemory(env.getenv)
	log := newLog(c.Logging, env.stderr)
	tracing, err := startTracing(env.ctx, c.Traces, env.stdout)
	if err != nil {
		return err
	}
	c.Database.Trace, c.Coder.HTTPClient = tracing.on, tracing.client()
	c.Database.Replica = replicaName(c.Provisioning.Instance)
	database, err := store.Open(env.ctx, c.Database)
	if err != nil {
		return err
	}
	defer database.Close()
	start := &startCheck{run: func(ctx context.Context) error { return checkStart(ctx, c, database, log) }}
	owner, err := useOwnerToken(&c, log)
	if err != nil {
		return err
	}
	metrics := hook.NewMetrics()
	c.Coder.Observe = both(metrics.CoderCall, owner.Observe)
	coder, err := coderclient.New(c.Coder)
	if err != nil {
		return err
	}
	watch := &coderWatch{coder: coder, log: log}
	provisioner := hook.NewProvisioner(c.Provisioning, database, coder, log)
	keeper := newOwnerKeeper(c, owner, coder, database, log)
	provisioner.Metrics = metrics
	keys := newKeyWatch(database.Inspector(), c, log)
	provisioner.MayMake = keys.mayMake
	server := &hook.Server{
		Verifier:      c.Verifier,
		Policy:        c.Policy,
		Accounts:      database,
		Provisioner:   provisioner,
		Deadline:      c.Deadline,
		RejectOnError: c.Reject,
		Now:           time.Now,
		Log:           log,
		Checks: map[string]hook.Check{
			"database":    {Required: true, Run: start.before(hook.Shared(database.Writable, time.Now))},
			"coder":       {Run: watch.check},
			"owner_token": {Run: keeper.Check},
			"keys":        {Run: keys.check},
		},
		FrontEnd: hook.FrontEnd{Tokens: c.Tokens, Apps: coder, CORS: c.CORS},
	}
	describeDependencies(metrics, database, coder)
	describeOwnerToken(metrics, keeper)
	describeKeys(metrics, keys)
	stopAdmin, err := startAdmin(env.ctx, c.Admin, metrics.Registry, log)
	if err != nil {
		return err
	}
	go watch.run(env.ctx)
	follower := &urlFollower{database: database, log: log}
	pruner := auditPruner{database, c.Upkeep.AuditKept, log}
	reconciler := newReconciler(c, provisioner, database)
	defer inBackground(env.ctx, keeper.Run, keys.run, reconciler.Run, reconciler.Watch, reconciler.Scan, follower.run, pruner.run)() // ends before the database closes
	s := &service{c, server, start, provisioner, tracing, log}
	return errors.Join(s.listen(env.ctx), stopAdmin())
}

// heapGrowth is how many percent the heap may grow before garbage is collected. What lives on between mints is
// small, so that Go's own 100 collects every few hundred mints: some ten MiB more save most of that work.
const heapGrowth = 400

// calmMemory is from how many bytes on garbage is collected more often than that: only strangers make us need so much,
// and then it must not be five times what they hold.
const calmMemory = 80 << 20

// spendMemory leaves it to the operator where Go's own variables are set.
func spendMemory(getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(calmMemory)
	}
}

// service is what listens, and what has to end with it.
type service struct {
	config      config.Config
	server      *hook.Server
	start       *startCheck
	provisioner *hook.Provisioner
	tracing     tracing
	log         zerolog.Logger
}

// listen serves until ctx ends, and then leaves in the order that loses nothing.
func (s *service) listen(ctx context.Context) error {
	ports, err := s.openPorts(ctx)
	if err != nil {
		return err
	}
	s.serve(ports)
	serving, end := context.WithCancelCause(ctx)
	defer inBackground(ctx, func(ctx context.Context) {
		if err := s.start.Run(ctx); err != nil {
			end(config.Explain(err))
		}
	})()
	if err := ports.wait(serving); err != nil {
		return err
	}
	var broken error
	if ctx.Err() == nil {
		broken = context.Cause(serving)
	}
	s.log.Info().Msg("draining")
	s.server.Drain()
	time.Sleep(s.config.DrainDelay) // the load balancer and kept-alive connections learn that we leave
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err = errors.Join(ports.shutdown(stopCtx), s.provisioner.Stop(stopCtx), s.tracing.stop(stopCtx))
	s.log.Info().Err(err).Msg("stopped")
	return errors.Join(broken, err)
}

func newLog(l config.Logging, w io.Writer) zerolog.Logger {
	terminal := false
	if file, ok := w.(*os.File); ok {
		terminal = isatty.IsTerminal(file.Fd())
	}
	if l.Format == "console" || l.Format == "auto" && terminal {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	level, _ := zerolog.ParseLevel(l.Level) // one of the known ones
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}
