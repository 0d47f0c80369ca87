package hook

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// CORS says which web pages may call the front end's routes.
type CORS struct {
	Origins     []string // like https://app.example.com, or only "*"; none: no page on another origin
	Credentials bool     // pages may send their cookies along, for a proxy in front that wants them
}

// anyOrigin lets every page call.
const anyOrigin = "*"

// Check names what is wrong with the origins. An origin with a path or a slash at its end would
// never be one that a browser sends.
func (c CORS) Check() error {
	var faults []error
	for _, origin := range c.Origins {
		switch {
		case origin == anyOrigin && c.Credentials:
			faults = append(faults, errors.New(`"*" together with credentials would let every page on the web act for its visitors; name the origins`))
		case origin == anyOrigin && len(c.Origins) > 1:
			faults = append(faults, errors.New(`"*" beside other origins; set either`))
		case origin != anyOrigin && !isOrigin(origin):
			faults = append(faults, fmt.Errorf("%q is not an origin; write it like https://app.example.com, without a path or a slash at the end", origin))
		}
	}
	return errors.Join(faults...)
}

// isOrigin: just what a browser would send, as it is compared byte for byte. Echo takes "*" and
// "?" for patterns; neither can pass here.
func isOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		origin == u.Scheme+"://"+u.Host && origin == strings.ToLower(origin) && !strings.ContainsAny(origin, "*?%\\ ")
}

// allow is the middleware for one route. Without origins it is none: echo would take that for all.
func (c CORS) allow(method string) echo.MiddlewareFunc {
	if len(c.Origins) == 0 {
		return func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	}
	return middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins:     c.Origins,
		AllowMethods:     []string{method},
		AllowHeaders:     []string{echo.HeaderAuthorization, echo.HeaderContentType, echo.HeaderAccept},
		AllowCredentials: c.Credentials,
		ExposeHeaders:    []string{echo.HeaderRetryAfter, echo.HeaderWWWAuthenticate},
		MaxAge:           600,
	})
}

// preflight is reached by who is no browser asking before a call: CORS answers those.
func preflight(c echo.Context) error { return c.NoContent(http.StatusNoContent) }
