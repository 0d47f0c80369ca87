package accesstoken

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"coderhook/hook/policy"

	"github.com/labstack/echo/v4"
)

// Admit lets nobody in where it is not set up, and challenges who shows no token, or more than one.
func TestAdmitAsksForOneToken(t *testing.T) {
	t.Parallel()
	verifier := New("", "0123456789abcdef0123456789abcdef", time.Now)
	for name, test := range map[string]struct {
		tokens    *Verifier
		header    []string
		status    int
		challenge string
	}{
		"not set up":       {nil, []string{"Bearer x"}, http.StatusNotImplemented, ""},
		"no header":        {verifier, nil, http.StatusUnauthorized, "Bearer"},
		"another scheme":   {verifier, []string{"Basic eDp5"}, http.StatusUnauthorized, "Bearer"},
		"an empty token":   {verifier, []string{"Bearer  "}, http.StatusUnauthorized, "Bearer"},
		"two headers":      {verifier, []string{"Bearer x", "Bearer x"}, http.StatusUnauthorized, "Bearer"},
		"what is no token": {verifier, []string{"bearer x"}, http.StatusUnauthorized, `Bearer error="invalid_token", error_description="access token: not a Supabase access token"`},
	} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Header["Authorization"] = test.header
		answer := httptest.NewRecorder()
		callers := Authenticator{Tokens: test.tokens, Policy: policy.Policy{}}
		who, err := callers.Admit(echo.New().NewContext(request, answer))
		refusal, _ := errors.AsType[*echo.HTTPError](err)
		if refusal == nil || refusal.Code != test.status || who != (Caller{}) || answer.Header().Get("WWW-Authenticate") != test.challenge {
			t.Errorf("%s: %+v, %v, %v", name, who, err, answer.Header())
		}
	}
}

// SetRetryAfter never says "at once", nor earlier than it is.
func TestRetryAfterIsInWholeSeconds(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", 2 * time.Second: "2", 2001 * time.Millisecond: "3"} {
		answer := httptest.NewRecorder()
		SetRetryAfter(echo.New().NewContext(httptest.NewRequest(http.MethodGet, "/", nil), answer), after)
		if got := answer.Header().Get("Retry-After"); got != want {
			t.Errorf("%s: %s, want %s", after, got, want)
		}
	}
}
