package hook

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/accesstoken"
	"coderhook/hook/cached"

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

// retryPause is what a caller is told to wait where nothing better is known.
const retryPause = 5 * time.Second

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
			defer proven(c.Request().Context())()
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
	if s.FrontEnd.Tokens == nil {
		return accesstoken.Caller{}, echo.NewHTTPError(http.StatusNotImplemented,
			"this server is not set up for front ends: set SUPABASE_URL (or SUPABASE_JWT_SECRET) and CORS_ORIGINS where it runs")
	}
	token, ok := bearer(c.Request().Header)
	if !ok {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, "Bearer")
		return accesstoken.Caller{}, echo.NewHTTPError(http.StatusUnauthorized, "send the user's Supabase access token: Authorization: Bearer <token>")
	}
	who, err := s.FrontEnd.Tokens.Verify(c.Request().Context(), token)
	if errors.Is(err, accesstoken.ErrNoKeys) {
		s.Log.Error().Err(err).Msg("access token not verified")
		return accesstoken.Caller{}, comeBack(c, http.StatusServiceUnavailable, retryPause, "access tokens can't be verified at the moment: try again in a few seconds")
	}
	if outdated, ok := errors.AsType[accesstoken.OutdatedError](err); ok {
		return accesstoken.Caller{}, comeBack(c, http.StatusServiceUnavailable, outdated.After, "access token: "+err.Error()+": try again")
	}
	if err != nil {
		return accesstoken.Caller{}, unauthorized(c, "access token: "+err.Error())
	}
	if reason := s.Policy.Skip(who.Claims); reason != "" {
		return who, echo.NewHTTPError(http.StatusForbidden, "access token: not accepted ("+reason+")") // no refresh mends that
	}
	if wait := s.FrontEnd.limits.take(who.User, s.Now()); wait > 0 {
		return who, comeBack(c, http.StatusTooManyRequests, wait, "too many requests for this user")
	}
	return who, nil
}

// bearer is the token of the only Authorization header.
func bearer(header http.Header) (string, bool) {
	values := header.Values(echo.HeaderAuthorization)
	if len(values) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// unauthorized is what makes a client refresh its session. The reason holds no quotes.
func unauthorized(c echo.Context, reason string) error {
	c.Response().Header().Set(echo.HeaderWWWAuthenticate,
		fmt.Sprintf(`Bearer error="invalid_token", error_description="%s"`, reason))
	return echo.NewHTTPError(http.StatusUnauthorized, reason)
}

// comeBack says when to try again.
func comeBack(c echo.Context, code int, after time.Duration, message string) error {
	setRetryAfter(c, after)
	return echo.NewHTTPError(code, message)
}

func setRetryAfter(c echo.Context, after time.Duration) {
	seconds := max(1, int(math.Ceil(after.Seconds())))
	c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(seconds))
}

// unavailable is the answer where Coder or the database can't be reached.
func (s *Server) unavailable(c echo.Context, err error) error {
	s.Log.Warn().Err(err).Str("path", c.Path()).Msg("not available")
	after := retryPause
	if answer, ok := errors.AsType[*coderclient.Error](err); ok && answer.RetryAfter > 0 {
		after = answer.RetryAfter
	}
	return comeBack(c, http.StatusServiceUnavailable, after, "the development environment can't be reached at the moment: try again in a few seconds")
}
