package hook

import (
	"net/http"
	"strconv"

	"coderhook/hook/provision"

	"github.com/labstack/echo/v4"
)

// apology is what the person reads whose sign-in is refused as there is no key.
func apology(why provision.Status) string {
	if why == provision.StatusConflict {
		return "Your development environment can't be set up. Please contact support."
	}
	return "Your development environment can't be reached. Please try again in a moment."
}

var contentType = []string{echo.MIMEApplicationJSON}

// answer sends the body and flushes it, because the key may be written only after it has left.
func answer(c echo.Context, body []byte) error {
	w := c.Response()
	w.Header()[echo.HeaderContentType] = contentType // nobody adds to it
	w.Header().Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(body); err != nil {
		return err
	}
	return http.NewResponseController(w.Writer).Flush()
}
