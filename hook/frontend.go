package hook

import (
	"context"
	"errors"
	"net/http"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/accesstoken"
	"coderhook/hook/cached"
	"coderhook/hook/proof"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
)

// FrontEnd is what the product's own front end may ask for, with its user's access token.
type FrontEnd struct {
	Tokens *accesstoken.Verifier // nil: all is answered with 501
	Apps   Apps                  // required with Tokens
	CORS   CORS

	limits userLimits
	hosts  cached.Value[appAddresses] // under which Coder's workspace apps are
}

// Apps is what the front end's routes need of Coder, besides provisioning.
type Apps interface {
	ApplicationHost(ctx context.Context) (string, error)
	Regions(ctx context.Context) ([]coderclient.Region, error)
	Me(ctx context.Context, key string) (coderclient.User, error)
	AuthRedirect(ctx context.Context, key, redirectURI string) (string, error)
}

// addFrontEnd adds the front end's routes.
func (s *Server) addFrontEnd(e *echo.Echo) {
	for _, text := range s.FrontEnd.CORS.Warnings() {
		s.Log.Warn().Str("origins", text).Msg("CORS_ORIGINS")
	}
	if s.FrontEnd.Tokens != nil {
		s.FrontEnd.Tokens.Log = s.Log
	}
	s.FrontEnd.hosts.Now = s.Now
	s.FrontEnd.hosts.Fetch = func(ctx context.Context) (appAddresses, error) { return readAppHosts(ctx, s.FrontEnd.Apps) }
	s.frontEndRoute(e, http.MethodPost, "/create-coder-user", s.createCoderUser)
	s.frontEndRoute(e, http.MethodGet, "/applications/auth-redirect", s.authRedirect)
}

// frontEndHandler answers a verified caller and adds to the request's line in the log.
type frontEndHandler func(echo.Context, accesstoken.Caller, *zerolog.Event) error

// frontEndRoute adds a route with all that stands before its handler, and its preflight.
func (s *Server) frontEndRoute(e *echo.Echo, method, path string, serve frontEndHandler) {
	around := []echo.MiddlewareFunc{s.FrontEnd.CORS.allow(method), private, capped}
	e.Add(method, path, s.admitted(serve), around...)
	e.OPTIONS(path, preflight, around...)
}

// private keeps answers out of caches, and addresses with keys in them out of Referer headers.
func private(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "no-store")
		c.Response().Header().Set("Referrer-Policy", "no-referrer")
		return next(c)
	}
}

// admitted lets a handler see only those callers whose token, policy and rate allow it.
func (s *Server) admitted(serve frontEndHandler) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		line := s.Log.Info().Str("path", c.Path())
		defer func() {
			line.Int("status", c.Response().Status).Dur("duration_ms", time.Since(started)).Msg("front end call")
		}()
		who, err := s.admit(c)
		if who.User != uuid.Nil {
			line.Stringer("user_id", who.User)
		}
		if err == nil {
			defer proof.Give(c.Request().Context())()
			err = serve(c, who, line)
		}
		if err != nil {
			line.AnErr("reason", err)
			c.Error(err) // here, so that the line has the status
		}
		return nil
	}
}

// admit goes from what is cheap to what is not. It names the caller also where it refuses one
// whose token is good.
func (s *Server) admit(c echo.Context) (accesstoken.Caller, error) {
	callers := accesstoken.Authenticator{Tokens: s.FrontEnd.Tokens, Policy: s.Policy}
	who, err := callers.Admit(c)
	if err != nil {
		return who, err
	}
	if wait := s.FrontEnd.limits.take(who.User, s.Now()); wait > 0 {
		return who, accesstoken.ComeBack(c, http.StatusTooManyRequests, wait, "too many requests for this user")
	}
	return who, nil
}

// unavailable is the answer where Coder or the database can't be reached.
func (s *Server) unavailable(c echo.Context, err error) error {
	s.Log.Warn().Err(err).Str("path", c.Path()).Msg("not available")
	after := accesstoken.RetryPause
	if answer, ok := errors.AsType[*coderclient.Error](err); ok && answer.RetryAfter > 0 {
		after = answer.RetryAfter
	}
	return accesstoken.ComeBack(c, http.StatusServiceUnavailable, after, "the development environment can't be reached at the moment: try again in a few seconds")
}
