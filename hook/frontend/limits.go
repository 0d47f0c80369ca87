package frontend

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"
)

// What a front end's request may be at most, in bytes. Its token is the largest part of it.
const (
	MaxHeader = 32 << 10
	MaxQuery  = 4 << 10
	MaxBody   = 4 << 10
)

// A user's calls cost calls to Coder, which has limits of its own: so many at once, then one
// in each interval.
const (
	CallsAtOnce  = 20
	CallInterval = 3 * time.Second
)

// capped refuses what is too large before anything is made of it.
func capped(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if len(r.URL.RawQuery) > MaxQuery {
			return echo.NewHTTPError(http.StatusRequestURITooLong, "the query is larger than 4 KiB")
		}
		if headerSize(r.Header) > MaxHeader {
			return echo.NewHTTPError(http.StatusRequestHeaderFieldsTooLarge, "the headers are larger than 32 KiB")
		}
		tooLarge := echo.NewHTTPError(http.StatusRequestEntityTooLarge, "the body is larger than 4 KiB")
		if r.ContentLength > MaxBody {
			return tooLarge
		}
		// Nothing is asked for in a body: it is read only to see its end.
		_, err := io.Copy(io.Discard, http.MaxBytesReader(c.Response(), r.Body, MaxBody))
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return tooLarge
		}
		if err != nil {
			return echo.NewHTTPError(http.StatusBadRequest, "the body could not be read")
		}
		return next(c)
	}
}

func headerSize(header http.Header) (size int) {
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	return size
}

// UserLimits counts the calls of each user. Its zero value is ready.
type UserLimits struct {
	mu    sync.Mutex
	users map[uuid.UUID]*rate.Limiter
	swept time.Time
}

// take counts a call. Where it is one too many, it says for how long.
func (l *UserLimits) take(user uuid.UUID, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	limiter, ok := l.users[user]
	if !ok {
		limiter = rate.NewLimiter(rate.Every(CallInterval), CallsAtOnce)
		l.users[user] = limiter
	}
	call := limiter.ReserveN(now, 1)
	wait := call.DelayFrom(now)
	if wait > 0 {
		call.CancelAt(now) // it does not count: who keeps knocking is not kept out for longer
	}
	return wait
}

// sweep drops limiters that have refilled.
func (l *UserLimits) sweep(now time.Time) {
	if l.users != nil && now.Sub(l.swept) < time.Minute {
		return
	}
	l.swept = now
	kept := make(map[uuid.UUID]*rate.Limiter)
	for user, limiter := range l.users {
		if limiter.TokensAt(now) < CallsAtOnce {
			kept[user] = limiter
		}
	}
	l.users = kept
}
