package soak

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"syscall"
	"time"

	"coderhook/hook/webhook"

	"github.com/google/uuid"
)

// What Supabase Auth does: it waits so long in all, and so long after a failed attempt.
const (
	patience = 5 * time.Second
	backoff  = 2 * time.Second
	attempts = 3
)

// auth calls the hook as Supabase Auth does, by way of a load balancer that goes on to the next
// server where one refuses.
type auth struct {
	*soak
	client *http.Client
}

func newAuth(s *soak) *auth {
	a := &auth{soak: s}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = a.dial
	a.client = &http.Client{Transport: transport}
	return a
}

// conn knows its server.
type conn struct {
	net.Conn
	life *life
}

func (a *auth) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	first, err := rand.IntN(len(a.replicas)), error(syscall.ECONNREFUSED)
	for i := range a.replicas {
		l := a.replicas[(first+i)%len(a.replicas)].current()
		if l == nil {
			continue
		}
		var c net.Conn
		if c, err = new(net.Dialer).DialContext(ctx, network, l.Addr); err == nil {
			return conn{c, l}, nil
		}
	}
	return nil, err
}

// call is a call of the hook, with all its attempts.
type call struct {
	began, ended time.Time
	tried        int
	reached      []*life       // who had the request
	took         time.Duration // of the attempt that was answered
	status       int
	body         []byte
	err          error // of the last attempt
}

// hook posts an event until it is answered, or until Supabase Auth would give up.
func (a *auth) hook(ctx context.Context, event []byte) (c call) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c.began = time.Now()
	defer func() { c.ended = time.Now() }()
	for c.tried = 1; ; c.tried++ {
		if c.err = a.attempt(ctx, event, &c); c.err == nil || c.tried == attempts {
			return c
		}
		select {
		case <-ctx.Done():
			return c
		case <-time.After(backoff):
		}
	}
}

func (a *auth) attempt(ctx context.Context, event []byte, c *call) error {
	began := time.Now()
	var mu sync.Mutex
	var reached *life
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		mu.Lock()
		defer mu.Unlock()
		reached = info.Conn.(conn).life
	}})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://coderhook.invalid/hooks/custom-access-token", bytes.NewReader(event))
	if err != nil {
		return err
	}
	if request.Header, err = webhook.Sign(hookSecret, uuid.NewString(), began, event); err != nil {
		return err
	}
	response, err := a.client.Do(request)
	if err == nil {
		defer response.Body.Close()
		c.status = response.StatusCode
		c.body, err = io.ReadAll(response.Body)
	}
	mu.Lock()
	defer mu.Unlock()
	if reached != nil {
		c.reached = append(c.reached, reached)
	}
	c.took = time.Since(began)
	if err != nil {
		a.judgeBroken(began, reached, err)
	}
	return err
}
