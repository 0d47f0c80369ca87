package accesstoken

import (
	"context"
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
	// Rules tells why the operator's rules give the caller no key, or ""; nil: there are none.
	Rules func(ctx context.Context, who Caller) (reason string, err error)
}

// Refusal is why a caller is not let in, in words for whoever called.
type Refusal struct {
	Code       int
	Message    string        // without quotes
	RetryAfter time.Duration // 0: it does not heal by itself
	Challenge  bool          // the token is not taken: another may be
	ByPolicy   bool          // the token is good
}

func (r *Refusal) Error() string { return r.Message }

// Judge returns whose a token is, or a [*Refusal]. It names the caller also where it refuses one whose token is good.
func (a *Authenticator) Judge(ctx context.Context, token string) (Caller, error) {
	who, err := a.Tokens.Verify(ctx, token)
	if err != nil {
		return Caller{}, a.refuse(err)
	}
	if reason := a.Policy.Skip(who.Claims); reason != "" { // no refresh mends that
		return who, &Refusal{Code: http.StatusForbidden, Message: "access token: not accepted (" + reason + ")", ByPolicy: true}
	}
	if a.Rules == nil {
		return who, nil
	}
	reason, err := a.Rules(ctx, who)
	switch {
	case err != nil:
		a.Tokens.Log.Error().Err(err).Stringer("user_id", who.User).Msg("not known what the rules give")
		return who, &Refusal{Code: http.StatusServiceUnavailable, RetryAfter: RetryPause, Message: "it can't be told at the moment whether there is a development environment for you: try again in a few seconds"}
	case reason != "":
		return who, &Refusal{Code: http.StatusForbidden, Message: NotEligible(reason), ByPolicy: true}
	}
	return who, nil
}

// NotEligible is what somebody is told to whom the operator's rules give no key.
func NotEligible(reason string) string {
	if reason == "" {
		return "not eligible for a development environment"
	}
	return "not eligible: " + reason
}

// refuse words why a token is not accepted, or can't be verified for now.
func (a *Authenticator) refuse(err error) *Refusal {
	if errors.Is(err, ErrNoKeys) {
		a.Tokens.Log.Error().Err(err).Msg("access token not verified")
		return &Refusal{
			Code: http.StatusServiceUnavailable, RetryAfter: RetryPause,
			Message: "access tokens can't be verified at the moment: try again in a few seconds",
		}
	}
	message := "access token: " + err.Error()
	if outdated, ok := errors.AsType[OutdatedError](err); ok {
		return &Refusal{Code: http.StatusServiceUnavailable, RetryAfter: outdated.After, Message: message + ": try again"}
	}
	return &Refusal{Code: http.StatusUnauthorized, Message: message, Challenge: true}
}

// Admit returns the caller of a request, or the answer for one who is not let in. Like Judge it names also whom it
// refuses by policy.
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
	who, err := a.Judge(c.Request().Context(), token)
	if refusal, refused := errors.AsType[*Refusal](err); refused {
		err = refusal.answer(c)
	}
	return who, err
}

// answer returns what is sent to whoever called.
func (r *Refusal) answer(c echo.Context) error {
	switch {
	case r.Challenge:
		return Unauthorized(c, r.Message)
	case r.RetryAfter > 0:
		return ComeBack(c, r.Code, r.RetryAfter, r.Message)
	}
	return echo.NewHTTPError(r.Code, r.Message)
}

// bearer returns the token of the only Authorization header.
func bearer(header http.Header) (string, bool) {
	values := header.Values(echo.HeaderAuthorization)
	if len(values) != 1 {
		return "", false
	}
	return Bearer(values[0])
}

// Bearer returns the token in the value of an Authorization header.
func Bearer(value string) (string, bool) {
	scheme, token, _ := strings.Cut(value, " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// Challenge returns the value of a WWW-Authenticate header that makes a client refresh its session. The reason holds no quotes.
func Challenge(reason string) string {
	return fmt.Sprintf(`Bearer error="invalid_token", error_description="%s"`, reason)
}

// Unauthorized returns the answer that makes a client refresh its session. The reason holds no quotes.
func Unauthorized(c echo.Context, reason string) error {
	c.Response().Header().Set(echo.HeaderWWWAuthenticate, Challenge(reason))
	return echo.NewHTTPError(http.StatusUnauthorized, reason)
}

// RetryAfter returns the value of that header: in whole seconds, and not at once.
func RetryAfter(after time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(after.Seconds()))))
}

// ComeBack returns an answer that says when to try again.
func ComeBack(c echo.Context, code int, after time.Duration, message string) error {
	SetRetryAfter(c, after)
	return echo.NewHTTPError(code, message)
}

// SetRetryAfter says in the answer's header when to try again.
func SetRetryAfter(c echo.Context, after time.Duration) {
	c.Response().Header().Set(echo.HeaderRetryAfter, RetryAfter(after))
}
