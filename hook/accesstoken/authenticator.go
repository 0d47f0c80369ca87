package accesstoken

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"coderhook/hook/policy"

	"github.com/labstack/echo/v4"
)

// RetryPause is what a caller is told to wait where nothing better is known.
const RetryPause = 5 * time.Second

// Authenticator admits requests whose access token is good and passes the policy.
type Authenticator struct {
	Tokens *Verifier // nil: all is answered with 501
	Policy policy.Policy
}

// Admit returns the caller, or the answer for one who is not let in. It names the caller also where it refuses one
// whose token is good.
func (a *Authenticator) Admit(c echo.Context) (Caller, error) {
	if a.Tokens == nil {
		return Caller{}, echo.NewHTTPError(http.StatusNotImplemented,
			"this server is not set up for front ends: set SUPABASE_URL (or SUPABASE_JWT_SECRET) and CORS_ORIGINS where it runs")
	}
	token, ok := bearer(c.Request().Header)
	if !ok {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, "Bearer")
		return Caller{}, echo.NewHTTPError(http.StatusUnauthorized, "send the user's Supabase access token: Authorization: Bearer <token>")
	}
	who, err := a.Tokens.Verify(c.Request().Context(), token)
	if err != nil {
		return Caller{}, a.refuse(c, err)
	}
	if reason := a.Policy.Skip(who.Claims); reason != "" {
		return who, echo.NewHTTPError(http.StatusForbidden, "access token: not accepted ("+reason+")") // no refresh mends that
	}
	return who, nil
}

// refuse answers for a token that is not accepted, or can't be verified for now.
func (a *Authenticator) refuse(c echo.Context, err error) error {
	if errors.Is(err, ErrNoKeys) {
		a.Tokens.Log.Error().Err(err).Msg("access token not verified")
		return ComeBack(c, http.StatusServiceUnavailable, RetryPause, "access tokens can't be verified at the moment: try again in a few seconds")
	}
	if outdated, ok := errors.AsType[OutdatedError](err); ok {
		return ComeBack(c, http.StatusServiceUnavailable, outdated.After, "access token: "+err.Error()+": try again")
	}
	return Unauthorized(c, "access token: "+err.Error())
}

// bearer returns the token of the only Authorization header.
func bearer(header http.Header) (string, bool) {
	values := header.Values(echo.HeaderAuthorization)
	if len(values) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// Unauthorized returns the answer that makes a client refresh its session. The reason holds no quotes.
func Unauthorized(c echo.Context, reason string) error {
	c.Response().Header().Set(echo.HeaderWWWAuthenticate,
		fmt.Sprintf(`Bearer error="invalid_token", error_description="%s"`, reason))
	return echo.NewHTTPError(http.StatusUnauthorized, reason)
}

// ComeBack returns an answer that says when to try again.
func ComeBack(c echo.Context, code int, after time.Duration, message string) error {
	SetRetryAfter(c, after)
	return echo.NewHTTPError(code, message)
}

// SetRetryAfter says in the answer's header when to try again: in whole seconds, and not at once.
func SetRetryAfter(c echo.Context, after time.Duration) {
	seconds := max(1, int(math.Ceil(after.Seconds())))
	c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(seconds))
}
