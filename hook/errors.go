package hook

import (
	"errors"
	"net/http"

	"coderhook/hook/webhook"

	"github.com/labstack/echo/v4"
)

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
