package hook

import (
	"errors"
	"net/http"

	"coderhook/hook/account"
	"coderhook/hook/webhook"

	"github.com/labstack/echo/v4"
)

// errPending: the caller's deadline passed, but the work goes on.
var errPending = errors.New("still being made")

// errStopping: asked for a key while the server is shutting down.
var errStopping = errors.New("the server is stopping")

// status is the reason for a missing key, as the client finds it in app_metadata.api_key_status.
type status string

const (
	statusPending     status = "pending"      // being made: refresh the session soon
	statusUnavailable status = "unavailable"  // anything else that failed, as Coder or the database out of reach: the log says what
	statusConflict    status = "conflict"     // an operator has to decide
	statusNotEligible status = "not_eligible" // by our policy: no e-mail, other role, assurance level too low
)

func statusOf(err error) status {
	switch {
	case errors.Is(err, account.ErrConflict), errors.Is(err, errLeft):
		return statusConflict
	case errors.Is(err, errPending), errors.Is(err, errStopping), errors.Is(err, account.ErrUnconfirmed):
		return statusPending
	}
	return statusUnavailable
}

// handleError is the one place that turns errors into answers. Only texts written for the
// caller are sent; for any other error the caller gets the status and the log the details.
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
	if err := c.JSON(code, webhook.ErrorBody{Error: webhook.ErrorDetail{Code: code, Message: message}}); err != nil {
		s.Log.Debug().Err(err).Msg("error not delivered")
	}
}
