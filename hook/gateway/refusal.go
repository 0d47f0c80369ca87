package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/accesstoken"
	"coderhook/hook/quota"
	"coderhook/hook/webhook"
)

// Refusal is why a request gets no answer of Coder's, in words for who sent it. Authenticator and Keys return it to say
// what to answer.
type Refusal struct {
	Code       int
	Rule       string        // names it in metrics; one of a bounded set
	Message    string        // without quotes and secrets
	RetryAfter time.Duration // 0: it does not heal by itself
	Challenge  bool          // the access token is not taken: another may be
}

func (r *Refusal) Error() string { return r.Message }

// ErrPending says that the user's key is still being made.
var ErrPending = errors.New("the key is being made")

func refusal(code int, rule, message string) *Refusal {
	return &Refusal{Code: code, Rule: rule, Message: message}
}

func later(code int, rule string, after time.Duration, message string) *Refusal {
	return &Refusal{Code: code, Rule: rule, RetryAfter: after, Message: message}
}

func refusalOfFull(f *quota.Full) *Refusal {
	code := http.StatusTooManyRequests
	if f.Shared {
		code = http.StatusServiceUnavailable
	}
	return later(code, f.Rule, f.After, f.Message)
}

// refusal says to who asked which rule it was, and why there is one.
func (r *Rule) refusal() *Refusal {
	return refusal(http.StatusForbidden, r.Class, `the gateway's rule "`+r.Class+`" refuses this request: `+r.Why)
}

// pendingPause is how long a caller is told to wait whose key is being made.
const pendingPause = 2 * time.Second

// refusalOf words what went wrong. The texts of other errors are for the log.
func refusalOf(err error) *Refusal {
	if known, ok := errors.AsType[*Refusal](err); ok {
		return known
	}
	if errors.Is(err, ErrPending) {
		return later(http.StatusAccepted, "pending", pendingPause, "the account is being made: try again in a few seconds")
	}
	after := accesstoken.RetryPause
	if answer, ok := errors.AsType[*coderclient.Error](err); ok && answer.RetryAfter > 0 {
		after = answer.RetryAfter
	}
	return later(http.StatusServiceUnavailable, "unavailable", after, "the development environment can't be reached at the moment: try again in a few seconds")
}

// pendingBody is the answer for a user whose account or key is still being made.
type pendingBody struct {
	UserID string `json:"user_id"`
	Status string `json:"status"`
}

// answer writes a refusal in the shape that all routes share.
func (r *Refusal) answer(w http.ResponseWriter, who Caller) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.RetryAfter > 0 {
		h.Set("Retry-After", accesstoken.RetryAfter(r.RetryAfter))
	}
	if r.Code == http.StatusUnauthorized {
		challenge := "Bearer"
		if r.Challenge {
			challenge = accesstoken.Challenge(r.Message)
		}
		h.Set("Www-Authenticate", challenge)
	}
	var body any = webhook.ErrorBody{Error: webhook.ErrorDetail{Code: r.Code, Message: r.Message}}
	if r.Code == http.StatusAccepted {
		body = pendingBody{who.User.String(), "pending"}
	}
	w.WriteHeader(r.Code)
	_ = json.NewEncoder(w).Encode(body) // the client is gone
}
