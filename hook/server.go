// Package hook is the HTTP server behind Supabase Auth's Custom Access Token hook, and what looks after the keys that
// it hands out.
//
// # A token mint
//
// A mint goes through token.go from top to bottom:
//
//   - Verify: read the body (intake.go), check an HMAC over its raw bytes with any of the secrets, and a timestamp
//     within five minutes (verify.go), and refuse a delivery that was answered before (deliveries.go). Only then is
//     anything decoded (event.go), and the listener told that this connection is no stranger's (package proof).
//   - Decide who gets no key by policy (policy.go).
//   - Look up and judge the key (key.go). A stored key that lives at least as long as the token is the common case; it
//     costs one SQL round trip. Rows of the ledger without a good seal count for nothing (seal.go).
//   - Provision where there is no such key (provision.go, job.go): one worker per user, across all replicas, by a lease
//     in the ledger (lease.go). It makes the Coder user (coderuser.go) and the key (mint.go), but none for an account
//     with roles (roles.go). What fails for a reason that passes is tried again after the answer (backlog.go), within
//     Coder's rate limit (pace.go).
//   - Answer (answer.go, splice.go): the claims are spliced, not encoded anew. Every byte but ours stays as it came.
//   - Persist (persist.go) only after the answer: Supabase Auth holds row locks while it waits for us, and a new user may
//     not even be committed yet. Then look after the key: check and renew it (care.go), learn about one that the ledger
//     does not know (adopt.go), end replaced ones (retire.go).
//
// record.go, metrics.go and errors.go say what came of it, explain.go what would.
//
// # The front end's routes
//
// Package frontend has them, and package accesstoken admits their callers; frontkeys.go gives them keys. A mint whose
// token would be refused there is warned of (lastissuer.go). ready.go and shared.go answer load balancers.
//
// # Apart from requests
//
// departures.go deals with who leaves and who comes back as the database writes it down, scan.go looks for whom it could
// not write down, and reconcile.go goes through the whole ledger now and then. All three decide about one account by
// walk.go, with offboard.go and workspaces.go; guard.go keeps them from believing the wrong database. link.go, revoke.go
// (revoke_coder.go, revoke_all.go)
// and seal.go are an operator's commands; sign.go, replay.go and accesstoken_doctor.go are for those that test a
// deployment. ownerkeeper.go keeps the owner's token alive (ownertoken.go, ownerfile.go). lifetime.go refuses, at the
// start, keys that would not outlive their tokens.
package hook

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"coderhook/hook/frontend"
	"coderhook/hook/policy"
	"coderhook/hook/webhook"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/rs/zerolog"
)

// Server answers Supabase Auth, the product's front end and the load balancer.
// All fields but Checks and FrontEnd are required.
type Server struct {
	Verifier      *webhook.Verifier
	Policy        policy.Policy
	Accounts      Accounts
	Provisioner   *Provisioner
	Deadline      time.Duration // from the request's arrival to the answer
	RejectOnError bool          // refuse the sign-in of a user who gets no key, instead of leaving the key out
	Now           func() time.Time
	Log           zerolog.Logger
	Checks        map[string]Check // dependencies shown by /readyz, by name
	FrontEnd      *frontend.Routes // nil: there are no routes for browsers

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

// Handler returns all routes, for one port.
func (s *Server) Handler() http.Handler {
	e := s.newRoutes()
	s.addHook(e)
	if s.FrontEnd != nil {
		s.FrontEnd.Register(e)
	}
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
	s.FrontEnd.Register(e)
	return e
}

// newRoutes has what every port answers.
func (s *Server) newRoutes() *echo.Echo {
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
