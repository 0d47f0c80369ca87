// Package hook is the HTTP server behind Supabase Auth's Custom Access Token hook. What a token mint needs stands in the
// packages below it, each about one thing; imports_test.go says which may import which.
//
// # A token mint
//
// token.go is the way of a mint, from top to bottom:
//
//   - Verify: read the body (intake.go), check its signature (package webhook), refuse a delivery that was answered before
//     (deliveries.go). Only then is anything decoded, and the listener told that this connection is no stranger's (proof).
//   - Call the hook that ours has displaced, if there is one (package chain).
//   - Decide who gets no key (package policy), and by an operator's rules who gets which (package rules, asked by keyring).
//   - Look up and judge the key (package keyring; apikey/state.go judges). A stored key that lives at least as long as the
//     token is the common case: it costs one SQL round trip.
//   - Provision where there is no such key (package provision): one worker per user, across all replicas, by a lease
//     (lease). It finds or makes the Coder account (account) and the key (apikey), within Coder's rate limit (pace).
//   - Answer: the claims are spliced (package claims), not encoded anew. Every byte but ours stays as it came. Where keys
//     stay out of tokens, the claims only say that there is one.
//   - Persist, only after the answer: Supabase Auth holds row locks while it waits for us, and a new user may not even be
//     committed yet. Then look after the key (package rotation).
//
// record.go, metrics.go and errors.go say what came of it.
//
// # Beside it
//
// Package frontend has the product's own pages' routes, and package accesstoken lets in who may call them; frontkeys.go
// lends them the keyring. lastissuer.go warns of a mint whose token would be refused there. ready.go and shared.go answer
// load balancers. Package gateway passes pages' requests on to Coder with the user's key. Package reconcile takes access from who
// left, ahead has everybody's key made before the hook is switched on, and owner keeps the token alive with which we act in
// Coder.
//
// # A new …
//
//   - reason to skip a token: policy/policy.go, Skip.
//   - prefix of our tokens' names: apikey/mint.go, Prefix.
//   - text of Coder's that means "not found": ../coderclient/error.go.
//   - metric: in the package that counts it, by package metrics.
package hook

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"coderhook/hook/chain"
	"coderhook/hook/frontend"
	"coderhook/hook/keyring"
	"coderhook/hook/metrics"
	"coderhook/hook/policy"
	"coderhook/hook/webhook"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/rs/zerolog"
)

// Server answers Supabase Auth, the product's front end and the load balancer.
// All fields but Checks, FrontEnd, Chain and Beside are required.
type Server struct {
	Verifier      *webhook.Verifier
	Policy        policy.Policy
	Keyring       *keyring.Keyring
	Registry      *metrics.Registry
	Deadline      time.Duration // from the request's arrival to the answer
	OutOfClaims   bool          // tokens do not carry keys, where their mint does not say otherwise
	RejectOnError bool          // refuse the sign-in of a user who gets no key, instead of leaving the key out
	Now           func() time.Time
	Log           zerolog.Logger
	Checks        map[string]Check // dependencies shown by /readyz, by name
	FrontEnd      *frontend.Routes // nil: there are no routes for browsers
	Chain         chain.Function   // the hook that ours has displaced; nil: there is none
	Beside        Routes           // what else browsers reach where they reach FrontEnd; nil: nothing

	mints      *mintMetrics
	intake     intake
	draining   atomic.Bool
	deliveries deliveries
	issuers    issuerWatch
}

// Check reports whether a dependency can be used. A required one that fails makes the server
// unready; without any other it can do part of its work.
type Check struct {
	Required bool
	Run      func(context.Context) error
}

// Routes registers itself.
type Routes interface{ Register(e *echo.Echo) }

// Handler returns all routes, for one port.
func (s *Server) Handler() http.Handler {
	e := s.newRoutes()
	s.addHook(e)
	s.addPages(e)
	return e
}

// HookHandler returns the routes without the front end's, for a port that only Supabase Auth has to reach.
func (s *Server) HookHandler() http.Handler {
	e := s.newRoutes()
	s.addHook(e)
	return e
}

// FrontEndHandler returns the front end's routes, for a port that browsers reach.
func (s *Server) FrontEndHandler() http.Handler {
	e := s.newRoutes()
	s.addPages(e)
	return e
}

// HandlerOf returns other routes, for a port of their own.
func (s *Server) HandlerOf(routes Routes) http.Handler {
	e := s.newRoutes()
	routes.Register(e)
	return e
}

// addPages adds what browsers reach.
func (s *Server) addPages(e *echo.Echo) {
	if s.FrontEnd != nil {
		s.FrontEnd.Register(e)
	}
	if s.Beside != nil {
		s.Beside.Register(e)
	}
}

// newRoutes has what every port answers.
func (s *Server) newRoutes() *echo.Echo {
	s.mints = newMintMetrics(s.Registry)
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = echo.ExtractIPDirect() // X-Forwarded-For can be written by anybody
	e.HTTPErrorHandler = s.handleError
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: s.logPanic}), s.closeWhenDraining)
	e.GET("/healthz", healthz)
	e.GET("/readyz", s.ready)
	return e
}

func (s *Server) addHook(e *echo.Echo) { e.POST("/hooks/custom-access-token", s.customAccessToken) }

// Drain makes the server unready and asks every client to close its connection. Closing a
// kept-alive connection while a request is on its way would make Supabase Auth wait two seconds
// before it tries again.
func (s *Server) Drain() { s.draining.Store(true) }

func (s *Server) closeWhenDraining(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.draining.Load() {
			c.Response().Header().Set("Connection", "close")
		}
		return next(c)
	}
}

func (s *Server) logPanic(c echo.Context, err error, stack []byte) error {
	s.Log.Error().Err(err).Str("path", c.Path()).Bytes("stack", stack).Msg("panic")
	return err
}
