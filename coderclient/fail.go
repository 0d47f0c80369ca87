package coderclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// fail makes the Error of an attempt, with its secrets taken out.
func (rq call) fail(ans answer, why error, secrets ...string) *Error {
	e := &Error{
		Method: rq.method, Path: rq.escapedPath(), Status: ans.status, Err: cause(why),
		version: ans.header.Get(headerVersion),
	}
	if errors.Is(why, errStatus) {
		e.Err = nil
	}
	if known, ok := errors.AsType[*Error](why); ok {
		e.Message, e.Err = known.Message, nil
	}
	if ans.status >= 400 {
		e.read(ans.body)
	}
	if ans.status == http.StatusTooManyRequests {
		e.RetryAfter = retryAfter(ans.header.Get("Retry-After"), time.Now())
		e.RateLimit, _ = strconv.Atoi(ans.header.Get("X-Ratelimit-Limit")) // 0 unless it is a number
	}
	e.scrub(secrets)
	return e
}

// read takes the first JSON object of body: some versions send two, and a proxy sends HTML, which tells nothing.
func (e *Error) read(body []byte) {
	var said struct {
		Message     string       `json:"message"`
		Detail      string       `json:"detail"`
		Validations []Validation `json:"validations"`
	}
	if json.NewDecoder(bytes.NewReader(body)).Decode(&said) == nil {
		e.Message, e.Detail, e.Validations = said.Message, said.Detail, said.Validations
	}
}

// cause strips what net/http wraps around an error: the URL with its query.
func cause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			return end
		}
	}
	if clean := scrubbed(err.Error(), nil); clean != err.Error() {
		return errors.New(clean)
	}
	return err
}

// What is kept of an answer. An error goes into logs, and an answer can be as long as 16 MiB.
const (
	maxText        = 1000 // bytes of each text
	maxValidations = 10
)

// scrub is for answers that echo what was sent, as validation texts do.
func (e *Error) scrub(secrets []string) {
	clean := func(text string) string { return beginning(scrubbed(text, secrets)) }
	e.Path = scrubbed(e.Path, secrets)
	e.Message, e.Detail = clean(e.Message), clean(e.Detail)
	e.Validations = e.Validations[:min(len(e.Validations), maxValidations)]
	for i, v := range e.Validations {
		e.Validations[i] = Validation{Field: clean(v.Field), Detail: clean(v.Detail)}
	}
}

func beginning(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

var (
	keyPattern   = regexp.MustCompile(`\b([A-Za-z0-9]{10})-[A-Za-z0-9]{22}\b`)
	queryPattern = regexp.MustCompile(`([a-z]+://[^\s?#"']*)[?#][^\s"']*`)
)

func scrubbed(text string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[redacted]")
		}
	}
	text = keyPattern.ReplaceAllString(text, "$1-[redacted]")
	return queryPattern.ReplaceAllString(text, "$1")
}

// retryAfter reads both forms of the header: seconds and a date. 0 means that it does not say, or now.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
