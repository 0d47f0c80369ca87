package hook

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"
)

// errConflict marks what does not heal by itself: an operator has to decide.
var errConflict = errors.New("needs an operator")

// errPending is the answer to who can wait no longer for work that goes on.
var errPending = errors.New("still being made")

// errStopping is the answer to who asks for a key when the server is about to leave.
var errStopping = errors.New("the server is stopping")

// status is the reason for a missing key, as the client finds it in app_metadata.api_key_status.
type status string

const (
	statusPending     status = "pending"     // being made: refresh the session soon
	statusUnavailable status = "unavailable" // Coder or the database can't be reached: try later
	statusConflict    status = "conflict"    // an operator has to decide
)

func statusOf(err error) status {
	switch {
	case errors.Is(err, errConflict):
		return statusConflict
	case errors.Is(err, errPending), errors.Is(err, errStopping):
		return statusPending
	}
	return statusUnavailable
}

// errorBody is the shape in which Supabase Auth takes errors, and which all routes share.
type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    int    `json:"http_code"`
	Message string `json:"message"`
}

// handleError is the one place that turns errors into answers. Only texts that were
// written for the caller go out; of all others the caller learns the status and the log the rest.
func (s *Server) handleError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	code, message := http.StatusInternalServerError, "internal error"
	if known, ok := errors.AsType[*echo.HTTPError](err); ok {
		code = known.Code
		message = http.StatusText(code)
		if text, ok := known.Message.(string); ok {
			message = text
		}
	} else {
		s.Log.Error().Err(err).Str("path", c.Path()).Msg("request failed")
	}
	if err := c.JSON(code, errorBody{errorDetail{code, message}}); err != nil {
		s.Log.Debug().Err(err).Msg("error not delivered")
	}
}
