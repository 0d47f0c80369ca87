package soak

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

// coder is the fake, behind a front that counts connections.
type coder struct {
	*codertest.Server
	url string

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func startCoder(t *testing.T, seed uint64) *coder {
	profiles := []codertest.Profile{codertest.ProfileNew, codertest.ProfileV231, codertest.Profile2023}
	c := &coder{conns: make(map[net.Conn]bool)}
	c.Server = codertest.Start(profiles[seed%3], codertest.With(func(s *codertest.Settings) { s.DefaultTokenLifetime = keyLife }))
	c.keepOwner()
	front := httptest.NewUnstartedServer(c.Server)
	front.Config.ConnState = c.count
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.Start()
	c.url = front.URL
	t.Cleanup(func() { c.Close(); front.Close() })
	return c
}

// keepOwner: the owner's token has a life like the others, and the soak is not about its end.
func (c *coder) keepOwner() {
	c.Prolong(coderclient.KeyID(c.OwnerToken), time.Now().Add(30*24*time.Hour))
}

func (c *coder) count(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.conns[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(c.conns, conn)
	}
}

func (c *coder) connections() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.conns)
}

// suffer arms a fault for as long as it lasts.
func (s *soak) suffer(f fault, how codertest.Fault) {
	defer s.coder.Fail(how)()
	s.pause(f.lasts)
}

var places = []struct{ method, path string }{
	{}, {"POST", "/users"}, {"POST", "/users/*/keys/tokens"}, {"GET", "/users/*/keys/*"}, {"GET", "/users/*"},
}

// somewhere limits a fault to the requests that the schedule picked.
func (f fault) somewhere(how codertest.Fault) codertest.Fault {
	where := places[f.choice(len(places))]
	how.Method, how.Path = where.method, where.path
	return how
}

const html = "<html><body><h1>502 Bad Gateway</h1></body></html>"

func coderHangs(s *soak, f fault)  { s.suffer(f, f.somewhere(codertest.Fault{Hang: true})) }
func coderResets(s *soak, f fault) { s.suffer(f, f.somewhere(codertest.Fault{Reset: true})) }

func coderLimits(s *soak, f fault) {
	after := []string{"1", "30"}[f.choice(2)]
	s.suffer(f, codertest.Fault{
		Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {after}},
		Body: `{"message":"You've been rate limited for sending more than 512 requests in 1m0s."}`,
	})
}

func coderFails(s *soak, f fault) {
	status := []int{500, 502, 503}[f.choice(3)]
	s.suffer(f, f.somewhere(codertest.Fault{Status: status, Body: html, Proxy: f.pick%2 == 0}))
}

func coderBabbles(s *soak, f fault) {
	body := []string{html, "", "null", "{}", `{"id":`, `{"message":"fine"}`}[f.choice(6)]
	status := []int{200, 201, 302}[f.choice(3)]
	s.suffer(f, codertest.Fault{Status: status, Body: body, Proxy: f.pick%5 == 0})
}

func coderIsSlow(s *soak, f fault) {
	s.suffer(f, f.somewhere(codertest.Fault{Delay: time.Duration(100+f.pick) * time.Millisecond}))
}

// coderLosesAnswers does what it was asked to, and then nobody hears of it.
func coderLosesAnswers(s *soak, f fault) {
	s.suffer(f, codertest.Fault{Method: "POST", Reset: true, AfterActing: true})
}

func coderKeepsAnswers(s *soak, f fault) {
	s.suffer(f, codertest.Fault{Method: "POST", Hang: true, AfterActing: true})
}

// coderFlickers fails every now and then, which opens no circuit breaker.
func coderFlickers(s *soak, f fault) {
	for range int(f.lasts/(150*time.Millisecond)) + 1 {
		remove := s.coder.Fail(codertest.Fault{Reset: f.pick%2 == 0, Status: 500, Times: 1, AfterActing: f.pick%3 == 0})
		s.pause(150 * time.Millisecond)
		remove()
	}
}

func coderMakesNoTokens(s *soak, f fault) {
	s.suffer(f, codertest.Fault{Method: "POST", Path: "/users/*/keys/tokens", Status: 500, Body: `{"message":"Failed to create API key."}`})
}

func coderTellsNoEnd(s *soak, f fault) {
	s.suffer(f, codertest.Fault{Method: "GET", Path: "/users/*/keys/*", Status: 500, Body: `{"message":"Internal error."}`})
}

// coderStartsAnew loses all its users and keys.
func coderStartsAnew(s *soak, _ fault) {
	s.coder.Reset()
	s.coder.keepOwner()
}
