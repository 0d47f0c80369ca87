package hook

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"
)

// echoed is the answer that changes nothing. The claims must be there all the same: Supabase
// Auth treats an answer without claims as an error.
func echoed(claims []byte) []byte {
	return slices.Concat([]byte(`{"claims":`), claims, []byte(`}`))
}

// maxAnswer is what Supabase Auth reads, in bytes: a longer answer fails the sign-in.
const maxAnswer = 200 << 10

// fitting is the answer with one member of app_metadata set, if it is not longer than Supabase Auth takes.
func (ev *event) fitting(name, value string) (body []byte, fits bool) {
	body = make([]byte, 0, len(ev.Claims)+len(name)+len(value)+64)
	body = append(body, `{"claims":`...)
	body = append(ev.slot.set(body, ev.Claims, name, value), '}')
	return body, len(body) <= maxAnswer
}

// with is fitting, or else the claims without that member. A key of old that stands in them does not pass even so.
func (ev *event) with(name, value string) []byte {
	if body, fits := ev.fitting(name, value); fits {
		return body
	}
	if body, fits := ev.fitting(keyMember, ""); fits && ev.slot.taken() {
		return body
	}
	return echoed(ev.Claims)
}

// rejection makes Supabase Auth refuse the sign-in with this status and text.
// The 200 around it is what makes it pass the text on.
func rejection(why status) []byte {
	message := "Your development environment can't be reached. Please try again in a moment."
	if why == statusConflict {
		message = "Your development environment can't be set up. Please contact support."
	}
	body, _ := json.Marshal(errorBody{errorDetail{http.StatusServiceUnavailable, message}}) // two plain fields: it cannot fail
	return body
}

// answer sends the body and flushes it, because the key may be written only after it has left.
func answer(c echo.Context, body []byte) error {
	w := c.Response()
	w.Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	w.Header().Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(body); err != nil {
		return err
	}
	return http.NewResponseController(w.Writer).Flush()
}
