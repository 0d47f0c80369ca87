package coderclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxBody bounds an answer, in bytes. Who has stolen a key can make thousands of tokens a minute with it, and must not
// escape by a list that is too long to be read: this one holds some 40,000.
const maxBody = 16 << 20

const (
	headerToken   = "Coder-Session-Token"
	headerVersion = "X-Coder-Build-Version"
)

// call is one request to Coder, as often as it takes.
type call struct {
	endpoint string   // bounded name for the observer
	method   string   //
	path     []string // segments below /api/v2, unescaped
	query    url.Values
	token    func() string // nil: unauthenticated
	body     any           // nil: none
	secret   string        // in the body; must not come back in an error
	once     bool          // never repeated after a failure, whatever the method
}

// answer is what came back, with the body read.
type answer struct {
	asked  *url.URL
	status int
	header http.Header
	body   []byte
}

// reader makes sense of an answer below 400. Its error means that the answer is unreadable.
type reader func(answer) error

// attempt makes one request. Its error is an *Error.
func (c *Client) attempt(ctx context.Context, rq call, read reader) error {
	actx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	began := time.Now()
	token := ""
	if rq.token != nil {
		token = rq.token()
	}
	ans, err := c.send(actx, rq, token)
	c.observe(rq.endpoint, ans.status, time.Since(began))
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err == nil {
		err = c.understand(ans, read)
	}
	if err == nil {
		return nil
	}
	return rq.fail(ans, err, append(c.way.secrets(), token, rq.secret, rq.query.Encode())...)
}

// send returns the answer, and as much of it as came where there is an error.
func (c *Client) send(ctx context.Context, rq call, token string) (answer, error) {
	req, err := c.request(ctx, rq, token)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close() // nothing was written
	ans := answer{asked: req.URL, status: resp.StatusCode, header: resp.Header}
	ans.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(ans.body) > maxBody {
		err = errTooLong
	}
	return ans, err
}

func (c *Client) request(ctx context.Context, rq call, token string) (*http.Request, error) {
	var body io.Reader
	if rq.body != nil {
		raw, err := json.Marshal(rq.body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, rq.method, c.url(rq), body)
	if err != nil {
		return nil, err
	}
	req.Header = c.way.Headers.Clone()
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "coderhook")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if rq.token != nil {
		req.Header.Set(headerToken, token)
	}
	return req, nil
}

// url escapes every segment, so that a name with a slash stays one segment.
func (c *Client) url(rq call) string {
	u := c.base.String() + rq.escapedPath()
	if len(rq.query) > 0 {
		u += "?" + rq.query.Encode()
	}
	return u
}

func (rq call) escapedPath() string {
	escaped := make([]string, len(rq.path))
	for i, segment := range rq.path {
		escaped[i] = url.PathEscape(segment)
	}
	return "/api/v2/" + strings.Join(escaped, "/")
}

// understand is nil for an answer below 400 that is Coder's and that read can make sense of.
func (c *Client) understand(ans answer, read reader) error {
	if err := NotCoder(ans.status, ans.header, ans.asked); err != nil {
		return err
	}
	c.loginType.sawVersion(ans.header.Get(headerVersion))
	switch {
	case ans.status >= 400:
		return errStatus
	case ans.status >= 300 && read == nil:
		return errRedirected
	case read == nil:
		return nil
	}
	return read(ans)
}

// reading decodes a JSON answer into out, which must then be complete: null, {} and an error message with status
// 200 are not what was asked for.
func reading[T any](out *T, complete func() bool) reader {
	return func(ans answer) error {
		if ans.status >= 300 {
			return errRedirected
		}
		*out = *new(T) // what an earlier attempt left
		if err := json.Unmarshal(ans.body, out); err != nil || !complete() {
			return errUnreadable
		}
		return nil
	}
}

// anything completes a list: null is an empty one.
func anything() bool { return true }

// Reasons for an Error that no status tells.
var (
	errStatus     = errors.New("refused by its status")
	errNotCoder   = errors.New("not an answer of Coder's: no " + headerVersion + " header")
	errRedirected = errors.New("unexpected redirect: is this the access URL?")
	errUnreadable = errors.New("unreadable answer")
	errTooLong    = errors.New("answer longer than 16 MiB")
)
