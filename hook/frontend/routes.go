// Package frontend answers the product's own pages.
package frontend

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

// Routes answers the product's own pages, each call with its user's access token. All fields but CORS are required.
type Routes struct {
	Callers  accesstoken.Authenticator
	Accounts Accounts
	Keys     Keyring
	Apps     Apps
	CORS     CORS
	Deadline time.Duration // of an answer's work
	Now      func() time.Time
	Log      zerolog.Logger
	Limits   UserLimits

	hosts cached.Value[appAddresses] // under which Coder's workspace apps are
}

// Apps is what the routes need of Coder, besides provisioning.
type Apps interface {
	ApplicationHost(ctx context.Context) (string, error)
	Regions(ctx context.Context) ([]coderclient.Region, error)
	Me(ctx context.Context, key string) (coderclient.User, error)
	AuthRedirect(ctx context.Context, key, redirectURI string) (string, error)
}

// Register adds the routes.
func (r *Routes) Register(e *echo.Echo) {
	for _, text := range r.CORS.Warnings() {
		r.Log.Warn().Str("origins", text).Msg("CORS_ORIGINS")
	}
	r.hosts.Now = r.Now
	r.hosts.Fetch = func(ctx context.Context) (appAddresses, error) { return readAppHosts(ctx, r.Apps) }
	r.add(e, http.MethodPost, "/create-coder-user", r.createCoderUser)
	r.add(e, http.MethodGet, "/applications/auth-redirect", r.authRedirect)
}

// handler answers a verified caller and adds to the request's line in the log.
type handler func(echo.Context, accesstoken.Caller, *zerolog.Event) error

// add adds a route with all that stands before its handler, and its preflight.
func (r *Routes) add(e *echo.Echo, method, path string, serve handler) {
	around := []echo.MiddlewareFunc{r.CORS.allow(method), private, capped}
	e.Add(method, path, r.admitted(serve), around...)
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
func (r *Routes) admitted(serve handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		line := r.Log.Info().Str("path", c.Path())
		defer func() {
			line.Int("status", c.Response().Status).Dur("duration_ms", time.Since(started)).Msg("front end call")
		}()
		who, err := r.admit(c)
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
func (r *Routes) admit(c echo.Context) (accesstoken.Caller, error) {
	who, err := r.Callers.Admit(c)
	if err != nil {
		return who, err
	}
	if wait := r.Limits.take(who.User, r.Now()); wait > 0 {
		return who, accesstoken.ComeBack(c, http.StatusTooManyRequests, wait, "too many requests for this user")
	}
	return who, nil
}

// unavailable is the answer where Coder or the database can't be reached.
func (r *Routes) unavailable(c echo.Context, err error) error {
	r.Log.Warn().Err(err).Str("path", c.Path()).Msg("not available")
	after := accesstoken.RetryPause
	if answer, ok := errors.AsType[*coderclient.Error](err); ok && answer.RetryAfter > 0 {
		after = answer.RetryAfter
	}
	return accesstoken.ComeBack(c, http.StatusServiceUnavailable, after, "the development environment can't be reached at the moment: try again in a few seconds")
}
