package main

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

	"github.com/google/uuid"
)

// harmlessEvent is of an anonymous user who does not exist. The method makes it known in the server's log.
func (d *doctor) harmlessEvent() (event, claims []byte) {
	user, now := uuid.NewString(), d.now().Unix()
	claims = fmt.Appendf(nil, `{"aud":"authenticated","exp":%d,"iat":%d,"sub":%q,"email":"","phone":"","app_metadata":{},"user_metadata":{},"role":"authenticated","aal":"aal1","session_id":%q,"is_anonymous":true}`,
		now+60, now, user, uuid.NewString())
	return fmt.Appendf(nil, `{"user_id":%q,"claims":%s,"authentication_method":"coderhook doctor"}`, user, claims), claims
}

// signature gives the headers of a call that is signed at that time. The secret's form was checked.
func signature(secret string, event []byte, at time.Time) http.Header {
	header, err := hook.Sign(secret, uuid.NewString(), at, event)
	if err != nil {
		return http.Header{}
	}
	return header
}

// hookAnswer is what came back, cut to what an answer to such an event can be.
type hookAnswer struct {
	status int
	body   []byte
}

func (d *doctor) post(ctx context.Context, event []byte, header http.Header) (hookAnswer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(event))
	if err != nil {
		return hookAnswer{}, err
	}
	request.Header = header.Clone()
	request.Header.Set("Content-Type", "application/json")
	response, err := newDoctorClient().Do(request)
	if err != nil {
		return hookAnswer{}, err
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	return hookAnswer{response.StatusCode, body}, err
}

// newDoctorClient waits as long as Supabase Auth, follows nothing, and keeps no connection.
func newDoctorClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	transport.DialContext = dialAsContainer
	return &http.Client{
		Transport: transport, Timeout: 5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// dialAsContainer knows the name of this machine that only containers on it know.
func dialAsContainer(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := new(net.Dialer)
	if host, port, err := net.SplitHostPort(address); err == nil && host == "host.docker.internal" {
		if conn, err := dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port)); err == nil {
			return conn, nil
		}
	}
	return dialer.DialContext(ctx, network, address)
}

func (a hookAnswer) echoes(claims []byte) bool {
	var answer struct {
		Claims json.RawMessage `json:"claims"`
	}
	return json.Unmarshal(a.body, &answer) == nil && bytes.Equal(answer.Claims, claims)
}

// text is the server's message, or the beginning of what it said.
func (a hookAnswer) text() string {
	var refusal struct {
		Error struct{ Message string }
	}
	if json.Unmarshal(a.body, &refusal) == nil && refusal.Error.Message != "" {
		return refusal.Error.Message
	}
	return fmt.Sprintf("%.80q", a.body)
}
