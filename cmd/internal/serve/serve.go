// Package serve runs the server: it answers Supabase Auth's hook, and looks after keys and accounts until it is told to
// end.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/coderclient"
	"coderhook/hook"
	"coderhook/hook/accesstoken"
	"coderhook/hook/frontend"
	"coderhook/hook/gateway"
	"coderhook/hook/keyring"
	"coderhook/hook/metrics"
	"coderhook/hook/owner"
	"coderhook/hook/rules"
	"coderhook/store"

	"github.com/rs/zerolog"
)

// stopTimeout is for running requests and for keys that are not stored yet.
const stopTimeout = 45 * time.Second

// Options say what is served, and how.
type Options struct {
	Config          config.Config
	Getenv          func(string) string // for Go's own variables
	Version, Commit string
	Log             zerolog.Logger
	Stdout          io.Writer // for traces, where they go to the console
}

// server is all that runs.
type server struct {
	Options
	tracing  tracing
	database *store.Store
	start    *startCheck
	owner    *owner.Token
	registry *metrics.Registry
	coder    *coderclient.Client
	watch    *coderWatch
	keys     *keyWatch
	plain    *plainWatch // nil: keys are not to be encrypted
	ring     *keyring.Keyring
	keeper   *owner.Keeper
	rules    *rules.Live // nil: there are none
	hook     *hook.Server
	gateway  *gateway.Gateway // nil: it is off
}

// Run serves until ctx ends, then drains.
func Run(ctx context.Context, o Options) error {
	spendMemory(o.Getenv)
	s := &server{Options: o}
	if err := s.openTracing(ctx); err != nil {
		return err
	}
	if err := s.openDatabase(ctx); err != nil {
		return err
	}
	defer s.database.Close()
	if err := s.openCoder(); err != nil {
		return err
	}
	s.makeKeyring()
	s.makeHook()
	if err := s.makeGateway(); err != nil {
		return err
	}
	stopAdmin, err := s.startAdmin(ctx)
	if err != nil {
		return err
	}
	defer inBackground(ctx, s.upkeep()...)() // ends before the database closes
	return errors.Join(s.listen(ctx), stopAdmin())
}

func (s *server) openTracing(ctx context.Context) (err error) {
	s.tracing, err = startTracing(ctx, s.Config.Traces, s.Config.OTLP, s.Stdout)
	return err
}

// openDatabase connects to nothing yet: sign-ins must not wait for a database that can't be reached.
func (s *server) openDatabase(ctx context.Context) (err error) {
	c := &s.Config.Database
	c.Trace, c.Replica = s.tracing.on, replicaName(s.Config.Provisioning.Instance)
	s.database, err = store.Open(ctx, *c)
	s.start = &startCheck{run: s.checkStart}
	return err
}

// replicaName says in the audit trail which process did something: the host's name, and what tells
// two processes there apart.
func replicaName(instance string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "coderhook"
	}
	return fmt.Sprintf("%s/%.8s", host, instance)
}

// openCoder makes the client, which asks for the owner's token at every request, as its file can change.
func (s *server) openCoder() (err error) {
	if s.owner, err = s.Config.OpenOwnerToken(s.Log); err != nil {
		return err
	}
	s.registry = metrics.New()
	c := s.Config.Coder
	if s.Config.Client != nil {
		s.Config.Client.Log = s.Log
	}
	c.HTTPClient = s.tracing.client(c.Way.Transport())
	c.Token, c.Observe = s.owner.Current, both(s.registry.CoderCall(), s.owner.Observe)
	s.coder, err = coderclient.New(c)
	s.watch = &coderWatch{coder: s.coder, log: s.Log}
	return err
}

// both tells two observers of every call.
func both(a, b coderclient.Observer) coderclient.Observer {
	return func(endpoint string, status int, took time.Duration) {
		a(endpoint, status, took)
		b(endpoint, status, took)
	}
}

// makeKeyring puts together what makes accounts and keys, and what it depends on.
func (s *server) makeKeyring() {
	o := s.Config.Provisioning
	s.keys = newKeyWatch(s.database.Inspector(), s.Config, s.Log)
	s.plain = newPlainWatch(s.database, s.Config, s.Log)
	s.ring = keyring.New(o, s.database, s.coder, s.registry, s.Log)
	s.ring.Provisioner.MayMake = s.keys.mayMake
	if s.Config.Rules.Policy != nil {
		s.rules = rules.NewLive(s.Config.Rules.Source, s.Config.Rules.Policy, s.registry, s.Log)
		s.ring.Rules = s.rules
	}
	s.keeper = &owner.Keeper{
		Token: s.owner, Coder: s.coder, Ledger: s.database, Instance: o.Instance, Now: o.Now, Log: s.Log,
	}
}

// makeHook makes what answers requests.
func (s *server) makeHook() {
	c := s.Config
	s.hook = &hook.Server{
		Verifier:      c.Verifier,
		Policy:        c.Policy,
		Keyring:       s.ring,
		Registry:      s.registry,
		Deadline:      c.Deadline,
		OutOfClaims:   c.Provisioning.OutOfClaims,
		RejectOnError: c.Reject,
		Now:           time.Now,
		Log:           s.Log,
		Checks: map[string]hook.Check{
			"database":    {Required: true, Run: s.start.before(hook.Shared(s.database.Writable, time.Now))},
			"coder":       {Run: s.watch.check},
			"owner_token": {Run: s.keeper.Check},
			"keys":        {Run: s.keys.check},
			"encryption":  {Run: hook.Shared(s.database.CheckEncryptionKeys, time.Now)},
		},
	}
	if c.Database.ChainHook != "" {
		s.hook.Chain = s.database
	}
	if s.rules != nil {
		s.hook.Checks["policy"] = hook.Check{Run: s.rules.Check}
	}
	s.hook.FrontEnd = s.frontEnd()
}

// frontEnd returns the routes for browsers, which get their keys from the hook's server.
func (s *server) frontEnd() *frontend.Routes {
	c := s.Config
	if c.Tokens != nil {
		c.Tokens.Log = s.Log
	}
	return &frontend.Routes{
		Callers:  s.authenticator(),
		Accounts: s.database,
		Keys:     hook.FrontEndKeys{Keyring: s.ring},
		Apps:     s.coder,
		CORS:     c.CORS,
		Deadline: c.Deadline,
		Now:      s.hook.Now,
		Log:      s.Log,
	}
}

// authenticator lets in who bears an access token, and is to have a key.
func (s *server) authenticator() accesstoken.Authenticator {
	a := accesstoken.Authenticator{Tokens: s.Config.Tokens, Policy: s.Config.Policy}
	if s.rules != nil {
		a.Rules = func(ctx context.Context, who accesstoken.Caller) (string, error) {
			return s.ring.Refuses(ctx, who.User, []byte(who.Raw))
		}
	}
	return a
}

// startAdmin describes what only metrics tell, and serves them.
func (s *server) startAdmin(ctx context.Context) (stop func() error, err error) {
	describeDependencies(s.registry, s.database, s.coder, s.Version, s.Commit)
	describeOwnerToken(s.registry, s.keeper)
	describeKeys(s.registry, s.keys)
	describeRules(s.registry, s.rules)
	describePlainKeys(s.registry, s.plain)
	return startAdmin(ctx, s.Config.Admin, s.registry.Registry, s.Log)
}

// listen serves until ctx ends, or the start finds a fault of the configuration.
func (s *server) listen(ctx context.Context) error {
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
	var fault error
	if ctx.Err() == nil {
		fault = context.Cause(serving)
	}
	return errors.Join(fault, s.drain(ctx, ports))
}

// drain leaves in the order that loses nothing.
func (s *server) drain(ctx context.Context, p ports) error {
	s.Log.Info().Msg("draining")
	s.hook.Drain()
	time.Sleep(s.Config.DrainDelay) // the load balancer and kept-alive connections learn that we leave
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := errors.Join(s.shutdown(ctx, p), s.ring.Stop(ctx), s.tracing.stop(ctx))
	s.Log.Info().Err(err).Msg("stopped")
	return err
}

// shutdown ends gateway and ports at the same time: what the gateway has taken over no port knows of.
func (s *server) shutdown(ctx context.Context, p ports) error {
	drained := make(chan error, 1)
	go func() { drained <- s.drainGateway(ctx) }()
	return errors.Join(p.shutdown(ctx), <-drained)
}
