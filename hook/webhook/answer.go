package webhook

import (
	"encoding/json"
	"net/http"
	"slices"

	"coderhook/hook/claims"
)

// Echo returns the answer that changes nothing. The claims must be there all the same: Supabase
// Auth treats an answer without claims as an error.
func Echo(claims []byte) []byte {
	return slices.Concat([]byte(`{"claims":`), claims, []byte(`}`))
}

// MaxAnswer is what Supabase Auth reads, in bytes: a longer answer fails the sign-in.
const MaxAnswer = 200 << 10

// Fitting returns the answer with one member of app_metadata set, if it is not longer than Supabase Auth takes.
func (ev *Event) Fitting(name, value string) (body []byte, fits bool) {
	body = make([]byte, 0, len(ev.Claims)+len(name)+len(value)+64)
	body = append(body, `{"claims":`...)
	body = append(ev.slot.Set(body, ev.Claims, name, value), '}')
	return body, len(body) <= MaxAnswer
}

// With returns what Fitting does, or where that is too long the claims without that member. A key of old that stands in them does not pass even so.
func (ev *Event) With(name, value string) []byte {
	if body, fits := ev.Fitting(name, value); fits {
		return body
	}
	if body, fits := ev.Fitting(claims.KeyMember, ""); fits && ev.slot.Taken() {
		return body
	}
	return Echo(ev.Claims)
}

// Rejection makes Supabase Auth refuse the sign-in with this text, as status 503.
// The 200 around it is what makes it pass the text on.
func Rejection(message string) []byte {
	body, _ := json.Marshal(ErrorBody{ErrorDetail{http.StatusServiceUnavailable, message}}) // two plain fields: it cannot fail
	return body
}

// ErrorBody is the shape in which Supabase Auth takes errors, and which all routes share.
type ErrorBody struct {
	Error ErrorDetail `json:"error"`
}

// ErrorDetail says what went wrong, in a text for the caller.
type ErrorDetail struct {
	Code    int    `json:"http_code"`
	Message string `json:"message"`
}
