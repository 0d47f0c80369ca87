package hook

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// readyTimeout bounds one round of checks: load balancers give up soon after.
const readyTimeout = time.Second

// What /readyz says of a dependency.
const (
	healthOK       = "ok"
	healthDegraded = "degraded" // sign-ins go on without it
	healthDown     = "down"
)

func healthz(c echo.Context) error { return c.String(http.StatusOK, "ok") }

func (s *Server) ready(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
	defer cancel()
	code := http.StatusOK
	detail := make(map[string]string, len(s.Checks)+1)
	for name, check := range s.Checks {
		switch err := check.Run(ctx); {
		case err == nil:
			detail[name] = healthOK
		case check.Required:
			detail[name], code = healthDown, http.StatusServiceUnavailable
		default:
			detail[name] = healthDegraded
		}
	}
	detail["server"] = healthOK
	if s.draining.Load() {
		detail["server"], code = healthDown, http.StatusServiceUnavailable
	}
	return c.JSON(code, detail)
}
