package frontend

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/net/http/httpguts"
)

// CORS says which web pages may call the routes.
type CORS struct {
	Origins     []string // as NormalOrigins gives them, or only "*"; none: no page on another origin
	Headers     []string // that pages may send beside those of the routes, like traceparent
	Credentials bool     // pages may send their cookies along, for a proxy in front that wants them
}

// anyOrigin lets every page call.
const anyOrigin = "*"

// NormalOrigins writes origins as browsers send them. Those that can't be are left as they are, for Check to name.
func NormalOrigins(origins []string) []string {
	normal := slices.Clone(origins)
	for i, origin := range normal {
		if written, err := normalOrigin(origin); err == nil {
			normal[i] = written
		}
	}
	return normal
}

// Check names what is wrong. An origin that is not written as browsers send it would never be one.
func (c CORS) Check() error {
	var faults []error
	for _, origin := range c.Origins {
		written, err := normalOrigin(origin)
		across, public := acrossPublicSuffix(written)
		switch {
		case origin == anyOrigin && c.Credentials:
			faults = append(faults, errors.New(`"*" together with credentials would let every page on the web act for its visitors; name the origins`))
		case origin == anyOrigin && len(c.Origins) > 1:
			faults = append(faults, errors.New(`"*" beside other origins; set either`))
		case origin == anyOrigin:
		case err != nil:
			faults = append(faults, fmt.Errorf("%q is not an origin; %w", origin, err))
		case origin != written:
			faults = append(faults, fmt.Errorf("%q is not an origin as browsers send it; write %s", origin, written))
		case public && c.Credentials:
			faults = append(faults, fmt.Errorf("%q together with credentials would let all who have a name under %s act for their visitors; name the origins", origin, across))
		}
	}
	return errors.Join(faults...)
}

// CheckHeaders names what can't be a header that a page sends.
func (c CORS) CheckHeaders() error {
	for _, name := range c.Headers {
		if !httpguts.ValidHeaderFieldName(name) || name == anyOrigin {
			return fmt.Errorf("%q is not the name of a header; name them one by one, like sentry-trace,baggage,traceparent", name)
		}
	}
	return nil
}

// Warnings names what is taken but hardly meant.
func (c CORS) Warnings() (texts []string) {
	for _, origin := range c.Origins {
		if host, public := acrossPublicSuffix(origin); public {
			texts = append(texts, fmt.Sprintf("%s lets pages of everybody call who has a name under %s, which is a public suffix", origin, host))
		}
	}
	return texts
}

// allow is the middleware for one route. Without origins it is none: echo would take that for all.
func (c CORS) allow(method string) echo.MiddlewareFunc {
	if len(c.Origins) == 0 {
		return func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	}
	config := middleware.CORSConfig{
		AllowOrigins:     []string{anyOrigin},
		AllowMethods:     []string{method},
		AllowHeaders:     append([]string{echo.HeaderAuthorization, echo.HeaderContentType, echo.HeaderAccept}, c.Headers...),
		AllowCredentials: c.Credentials,
		ExposeHeaders:    []string{echo.HeaderRetryAfter, echo.HeaderWWWAuthenticate},
		MaxAge:           600,
	}
	if !slices.Equal(c.Origins, config.AllowOrigins) {
		// Not by echo's own patterns: in those an asterisk stands for dots, too.
		config.AllowOriginFunc = func(origin string) (bool, error) { return c.Allows(origin), nil }
	}
	return middleware.CORSWithConfig(config)
}

// Allows reports whether pages of the origin may call.
func (c CORS) Allows(origin string) bool {
	return origin != "" && slices.ContainsFunc(c.Origins, func(allowed string) bool { return allowed == anyOrigin || matches(allowed, origin) })
}

// preflight answers OPTIONS requests that are not CORS preflights.
func preflight(c echo.Context) error { return c.NoContent(http.StatusNoContent) }
