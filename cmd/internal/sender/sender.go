// Package sender plays Supabase Auth: it makes token mints' events, posts them to a hook, and reads the answers.
package sender

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"coderhook/hook"
)

// DockerHost is what containers call the machine that they run on.
const DockerHost = "host.docker.internal"

// patience is that of Supabase Auth.
const patience = 5 * time.Second

// Answer is what came back, and how.
type Answer struct {
	Status     int
	Body       []byte
	Took       time.Duration
	Redirected string // to where, if so
	Header     http.Header
}

// Post posts an event as Supabase Auth does, which follows redirects too. The header has the signature.
func Post(ctx context.Context, url string, event []byte, header http.Header) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(event))
	if err != nil {
		return Answer{}, err
	}
	request.Header = header.Clone()
	request.Header.Set("Content-Type", "application/json")
	started := time.Now()
	response, err := NewClient().Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written
	body, err := io.ReadAll(io.LimitReader(response.Body, hook.MaxBody))
	answer := Answer{Status: response.StatusCode, Body: body, Took: time.Since(started), Header: response.Header}
	if response.Request.Response != nil { // what made the client ask here
		answer.Redirected = response.Request.URL.Redacted()
	}
	return answer, err
}

// Echoes reports whether the answer's claims are these, to the byte.
func (a Answer) Echoes(claims []byte) bool {
	got, ok := Claims(a.Body)
	return ok && bytes.Equal(got, claims)
}

// Text returns the server's error message, or the beginning of what it said.
func (a Answer) Text() string {
	var refusal struct {
		Error struct{ Message string }
	}
	if json.Unmarshal(a.Body, &refusal) == nil && refusal.Error.Message != "" {
		return refusal.Error.Message
	}
	return fmt.Sprintf("%.80q", a.Body)
}

// NewClient returns a client that waits as long as Supabase Auth, and keeps no connection.
func NewClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	transport.DialContext = dialAsContainer
	return &http.Client{Transport: transport, Timeout: patience}
}

// dialAsContainer connects to this machine where the name is the one that only containers on it know.
func dialAsContainer(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := new(net.Dialer)
	if host, port, err := net.SplitHostPort(address); err == nil && host == DockerHost {
		if conn, err := dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port)); err == nil {
			return conn, nil
		}
	}
	return dialer.DialContext(ctx, network, address)
}
