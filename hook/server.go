// Package hook is the HTTP server behind Supabase Auth's Custom Access Token hook.
//
// A request goes through token.go from top to bottom: verify (verify.go), parse (event.go),
// decide (policy.go), look up and judge the key (key.go), provision where there is none
// (provision.go, coderuser.go, mint.go), answer (splice.go), and only then persist (persist.go)
// and look after the key (care.go, adopt.go, retire.go). What failed for a reason that passes is
// tried again (backlog.go), within Coder's rate limit (pace.go).
//
// Apart from requests, reconcile.go compares ledger, Supabase and Coder (walk.go, offboard.go,
// link.go), and ownerkeeper.go keeps the owner's token alive.
package hook

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/rs/zerolog"
)

// Server answers Supabase Auth, the product's front end and the load balancer.
// All fields but Checks and FrontEnd are required.
type Server struct {
	Verifier      *Verifier
	Policy        Policy
	Accounts      Accounts
	Provisioner   *Provisioner
	Deadline      time.Duration // from the request's arrival to the answer
	RejectOnError bool          // refuse the sign-in of a user who gets no key, instead of leaving the key out
	Now           func() time.Time
	Log           zerolog.Logger
	Checks        map[string]Check // dependencies shown by /readyz, by name
	FrontEnd      FrontEnd

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
	s.addFrontEnd(e)
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
	s.addFrontEnd(e)
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
