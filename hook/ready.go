package hook

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"coderhook/store"

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
	code, detail := http.StatusOK, map[string]string{"server": healthOK}
	for name, health := range s.health(ctx) {
		detail[name] = health
	}
	if s.draining.Load() {
		detail["server"] = healthDown
	}
	if slices.Contains(slices.Collect(maps.Values(detail)), healthDown) {
		code = http.StatusServiceUnavailable
	}
	return c.JSON(code, detail)
}

// health runs all checks at the same time: one that hangs must not use up the time of another.
func (s *Server) health(ctx context.Context) map[string]string {
	var mu sync.Mutex
	var running sync.WaitGroup
	found := make(map[string]string, len(s.Checks))
	for name, check := range s.Checks {
		running.Go(func() {
			health := check.health(ctx)
			mu.Lock()
			defer mu.Unlock()
			found[name] = health
		})
	}
	running.Wait()
	return found
}

func (c Check) health(ctx context.Context) string {
	switch err := c.Run(ctx); {
	case err == nil:
		return healthOK
	case c.Required && !errors.Is(err, store.ErrReadOnly): // who has a key does not notice
		return healthDown
	}
	return healthDegraded
}
