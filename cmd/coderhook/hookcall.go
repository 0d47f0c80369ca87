package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"coderhook/hook"
)

// hookPatience is that of Supabase Auth.
const hookPatience = 5 * time.Second

// hookAnswer is what came back, and how.
type hookAnswer struct {
	status     int
	body       []byte
	took       time.Duration
	redirected string // to where, if so
	header     http.Header
}

// callHook posts an event as Supabase Auth does, which follows redirects too.
func callHook(ctx context.Context, url string, event []byte, header http.Header) (hookAnswer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(event))
	if err != nil {
		return hookAnswer{}, err
	}
	request.Header = header.Clone()
	request.Header.Set("Content-Type", "application/json")
	started := time.Now()
	response, err := newHookClient().Do(request)
	if err != nil {
		return hookAnswer{}, err
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written
	body, err := io.ReadAll(io.LimitReader(response.Body, hook.MaxBody))
	answer := hookAnswer{status: response.StatusCode, body: body, took: time.Since(started), header: response.Header}
	if response.Request.Response != nil { // what made the client ask here
		answer.redirected = response.Request.URL.Redacted()
	}
	return answer, err
}

// newHookClient waits as long as Supabase Auth, and keeps no connection.
func newHookClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	transport.DialContext = dialAsContainer
	return &http.Client{Transport: transport, Timeout: hookPatience}
}

// dialAsContainer knows the name of this machine that only containers on it know.
func dialAsContainer(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := new(net.Dialer)
	if host, port, err := net.SplitHostPort(address); err == nil && host == dockerHost {
		if conn, err := dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port)); err == nil {
			return conn, nil
		}
	}
	return dialer.DialContext(ctx, network, address)
}
