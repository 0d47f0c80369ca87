package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook/gateway"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// patience is how long a test waits for what has to come.
const patience = 60 * time.Second

// page is the origin of the product's page.
const page = "https://app.example.com"

// stand is a gateway before the fake Coder, with two users: alice and bob.
type stand struct {
	t        *testing.T
	coder    *codertest.Server
	gate     *gateway.Gateway
	url      string // of the gateway, with its prefix
	keys     *stubKeys
	sessions *stubSessions
	audit    *stubAudit
	registry *prometheus.Registry
	log      *syncBuffer
	alice    gateway.Caller
	bob      gateway.Caller
}

// newStand starts one; change may set what the gateway is made of.
func newStand(t testing.TB, change ...func(*gateway.Gateway)) *stand {
	t.Helper()
	coder := codertest.Start(codertest.ProfileNew)
	t.Cleanup(coder.Close)
	s := &stand{
		coder: coder, registry: prometheus.NewRegistry(), log: &syncBuffer{}, sessions: &stubSessions{}, audit: &stubAudit{},
		alice: gateway.Caller{Session: gateway.Session{User: uuid.New(), ID: "alice-1"}, Token: "alice"},
		bob:   gateway.Caller{Session: gateway.Session{User: uuid.New(), ID: "bob-1"}, Token: "bob"},
	}
	s.t, _ = t.(*testing.T)
	s.keys = &stubKeys{coder: coder, keys: map[string]string{}}
	for _, name := range []string{"alice", "bob"} {
		coder.AddUser(name, name+"@example.com", "none")
		coder.ActivateUser(name)
		s.keys.renew(name)
	}
	s.gate = &gateway.Gateway{
		Coder: coder.URL, Prefix: "/coder", Rules: gateway.DefaultRules(), Auth: stubAuth{s}, Keys: s.keys, Sessions: s.sessions,
		Audit: s.audit, CORS: gateway.CORS{Allows: func(origin string) bool { return origin == page }}, Metrics: s.registry,
		Log: zerolog.New(s.log), Now: time.Now, KeyWait: patience, WatchInterval: 10 * time.Millisecond,
	}
	for _, c := range change {
		c(s.gate)
	}
	if err := s.gate.Start(); err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	s.gate.Register(e)
	server := httptest.NewUnstartedServer(e)
	// Shorter than serve has them: what goes on must outlive them.
	server.Config.ReadTimeout, server.Config.WriteTimeout = 20*time.Millisecond, 20*time.Millisecond
	server.Config.ReadHeaderTimeout, server.Config.IdleTimeout = patience, patience
	server.Start()
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { defer close(ran); s.gate.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ran })
	s.url = server.URL + "/coder"
	return s
}

// stubAuth takes "token-NAME" for NAME's access token.
type stubAuth struct{ s *stand }

func (a stubAuth) Authenticate(_ context.Context, token string) (gateway.Caller, error) {
	switch token {
	case "token-alice":
		return a.s.alice, nil
	case "token-bob":
		return a.s.bob, nil
	}
	return gateway.Caller{}, &gateway.Refusal{Code: http.StatusUnauthorized, Rule: "token", Message: "access token: expired: refresh the session", Challenge: true}
}

// stubKeys has a key for each user, and makes another where Coder does not know it.
type stubKeys struct {
	coder *codertest.Server
	err   error  // of Key
	hold  func() // called by Doubt, unless nil

	mu     sync.Mutex
	keys   map[string]string
	made   []string // all of them, ever
	doubts int
	dead   error // of Doubt
}

func (k *stubKeys) Key(_ context.Context, who gateway.Caller) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[who.Token.(string)], k.err
}

func (k *stubKeys) Doubt(_ context.Context, who gateway.Caller, key string) (string, error) {
	k.mu.Lock()
	k.doubts++
	dead := k.dead
	k.mu.Unlock()
	if k.hold != nil {
		k.hold()
	}
	name := who.Token.(string)
	if dead != nil {
		return "", dead
	}
	if slices.ContainsFunc(k.coder.TokensOf(name), func(t codertest.Key) bool { return t.Whole == key }) {
		return key, nil
	}
	return k.renew(name), nil
}

func (k *stubKeys) renew(name string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := k.coder.AddToken(name, "supabase-"+uuid.NewString()[:8], time.Hour).Whole
	k.keys[name], k.made = key, append(k.made, key)
	return key
}

func (k *stubKeys) doubted() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.doubts
}

// revoke ends a user's keys behind the gateway's back.
func (s *stand) revoke(name string) {
	s.t.Helper()
	for _, key := range s.coder.TokensOf(name) {
		req, _ := http.NewRequest(http.MethodDelete, s.coder.URL+"/api/v2/users/"+name+"/keys/"+key.ID, nil)
		req.Header.Set("Coder-Session-Token", s.coder.OwnerToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusNoContent {
			s.t.Fatal(resp, err)
		}
		resp.Body.Close()
	}
}

type stubSessions struct {
	mu    sync.Mutex
	ended []gateway.Session
	looks int
	err   error
}

func (s *stubSessions) Ended(context.Context, []gateway.Session) ([]gateway.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	if s.err != nil {
		return nil, s.err
	}
	return s.ended, nil
}

// count is how often it was asked.
func (s *stubSessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

func (s *stubSessions) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *stubSessions) end(session gateway.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, session)
}

type stubAudit struct {
	mu   sync.Mutex
	rows []gateway.RefusedRoute
}

func (a *stubAudit) Refused(_ context.Context, e gateway.RefusedRoute) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rows = append(a.rows, e)
	return nil
}

func (a *stubAudit) all() []gateway.RefusedRoute {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.rows)
}

type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// answer is a whole one.
type answer struct {
	status int
	header http.Header
	body   string
}

// message is that of an error.
func (a answer) message() string {
	var body struct {
		Error struct {
			Code    int `json:"http_code"`
			Message string
		}
	}
	if json.Unmarshal([]byte(a.body), &body) != nil || body.Error.Code != a.status {
		return ""
	}
	return body.Error.Message
}

// do sends a request as a page of alice's does.
func (s *stand) do(method, path string, body io.Reader, header ...string) answer {
	s.t.Helper()
	return s.doAs("alice", method, path, body, header...)
}

func (s *stand) doAs(who, method, path string, body io.Reader, header ...string) answer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer token-"+who)
	req.Header.Set("Origin", page)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

// eventually polls.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// metric is the sum of a metric over those of its label values that contain text.
func (s *stand) metric(name, text string) (sum float64) {
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && strings.Contains(m.String(), text) {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
