package codertest

import (
	"fmt"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const bypassHeader = "X-Coder-Bypass-Ratelimit"

// bucket counts the requests of this window and of the one before.
type bucket struct {
	start         time.Time // of this window
	now, previous int
}

// limited lets next answer if the caller has requests left for this path. Only routes of the API are limited.
func (e *exchange) limited(next func() reply) reply {
	if !strings.HasPrefix(e.r.URL.Path, apiPrefix) {
		return next()
	}
	who, no := e.limitIdentity()
	switch {
	case no != nil:
		return *no
	case e.settings.RateLimit == 0:
		return next()
	}
	limit, b := e.limit(), e.bucket(who+" "+e.limitPath())
	header := http.Header{
		"X-Ratelimit-Limit": {strconv.Itoa(limit)},
		"X-Ratelimit-Reset": {strconv.FormatInt(b.start.Add(e.settings.RateWindow).Unix(), 10)},
	}
	rep, left := tooMany(limit, e.settings.RateWindow), limit-b.weight(e.time(), e.settings.RateWindow)
	if left > 0 {
		b.now++
		left--
		rep = next()
	}
	header.Set("X-Ratelimit-Remaining", strconv.Itoa(left))
	return rep.with(header)
}

func (rep reply) with(header http.Header) reply {
	for name, values := range rep.header {
		header[name] = values
	}
	rep.header = header
	return rep
}

// limit is lower where passwords could be guessed.
func (e *exchange) limit() int {
	if p := e.limitPath(); strings.HasSuffix(p, "/users/login") || strings.HasSuffix(p, "/password") {
		return min(e.settings.RateLimit, 60)
	}
	return e.settings.RateLimit
}

func tooMany(limit int, window time.Duration) reply {
	rep := refusal(http.StatusTooManyRequests,
		fmt.Sprintf("You've been rate limited for sending more than %d requests in %s.", limit, window), "")
	rep.header.Set("Retry-After", strconv.Itoa(int(window.Seconds())))
	return rep
}

// limitIdentity is the IP address, and since 2.32 the user of a valid key. There an owner may bypass the limit, by
// being somebody new every time, and anybody else who tries is refused.
func (e *exchange) limitIdentity() (who string, no *reply) {
	ip, _, _ := net.SplitHostPort(e.r.RemoteAddr)
	if e.version < v2x36 {
		return ip, nil
	}
	k, bad := e.identify(e.credential())
	if bad != nil {
		return ip, nil
	}
	user := e.accountByID(k.user)
	switch bypass, _ := strconv.ParseBool(e.r.Header.Get(bypassHeader)); {
	case !bypass:
		return user.id.String(), nil
	case user.is("owner"):
		return uuid.NewString(), nil
	}
	rep := textReply(http.StatusPreconditionRequired, fmt.Sprintf("%q provided but user is not owner\n", bypassHeader))
	return "", &rep
}

// limitPath: older versions take a path with a slash at its end for another one.
func (e *exchange) limitPath() string {
	if e.version < v2x36 {
		return e.r.URL.Path
	}
	return path.Clean(e.r.URL.Path)
}

func (e *exchange) bucket(name string) *bucket {
	start := e.time().Truncate(e.settings.RateWindow)
	b := e.limits[name]
	switch {
	case b == nil:
		b = &bucket{start: start}
		e.limits[name] = b
	case b.start.Equal(start):
	case b.start.Add(e.settings.RateWindow).Equal(start):
		*b = bucket{start: start, previous: b.now}
	default:
		*b = bucket{start: start}
	}
	return b
}

// weight slides: what is left of the window weighs the requests of the one before.
func (b *bucket) weight(now time.Time, window time.Duration) int {
	rest := window - now.Sub(b.start)
	return b.now + int(float64(b.previous)*rest.Seconds()/window.Seconds())
}
