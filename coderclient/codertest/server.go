// Package codertest is a Coder server in memory: it keeps users, keys and organizations, checks keys, and answers
// with the statuses, fields and texts of real servers, as recorded in testdata/coder. It stands in for Coder in tests
// and on a developer's machine.
//
// It writes its own JSON and shares no type with any client, so that a wrong field name shows. Faults can be injected
// (Fail), every request is recorded (Requests), and what it does not know it answers as Coder does and keeps apart
// (Unexpected).
//
// Not imitated: what templates and workspaces are made of, terminals beyond an echo, licences, custom roles, browser sessions, the background purge of expired keys, and the
// concurrency of a real database: requests are handled one after the other, so that the races which end in a 500 have
// to be injected.
package codertest

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Profile is a generation of Coder.
type Profile string

// The profiles, each with what sets it apart.
const (
	Profile2023 Profile = "2023"  // 2.13.5: an unknown user is a 400, a lifetime of 0 means 30 days
	ProfileV231 Profile = "v2.31" // 2.31.3: login type none is accepted, every use moves a token's expiry
	ProfileNew  Profile = "new"   // 2.36.0: login type none is refused, expiry is fixed, rate limits are per user
)

// Server is a running fake. All its methods may be called at any time.
type Server struct {
	URL        string // base URL
	OwnerToken string // key of the user "owner", who may do everything

	http    *http.Server
	done    chan struct{} // closed by EndHanging
	end     func()
	open    atomic.Int64 // connections
	sockets atomic.Int64 // WebSockets
	now     func() time.Time

	mu         sync.Mutex
	version    generation
	settings   Settings
	deployment uuid.UUID
	accounts   []*account
	keys       []*apiKey
	orgs       []*organization
	workspaces []*workspace
	files      []*file
	inbox      []object      // notifications, with whom they are for
	changed    chan struct{} // closed, and made anew, when something that can be watched has changed
	limits     map[string]*bucket
	faults     []*armed
	requests   []*Request

	issued       map[string]Issue // by the token's id
	installation int

	ignoresScopes bool
}

// Option changes how a server starts.
type Option func(*options)

type options struct {
	now     func() time.Time
	version generation
	with    []func(*Settings)
}

// Clock makes now the server's clock. It is asked often, also by several goroutines at once.
func Clock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// Oldest makes Profile2023 a 2.0.2, which knows disable_login but no login types.
func Oldest() Option { return func(o *options) { o.version = v2x0 } }

// With changes the settings that the profile brings.
func With(change func(*Settings)) Option {
	return func(o *options) { o.with = append(o.with, change) }
}

// Start returns a server that listens and has one user, the owner. It panics when it can't listen.
func Start(p Profile, opts ...Option) *Server {
	o := options{now: time.Now, version: generationOf(p)}
	for _, opt := range opts {
		opt(&o)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("codertest: %v", err))
	}
	s := &Server{URL: "http://" + ln.Addr().String(), done: make(chan struct{}), now: o.now, version: o.version, issued: map[string]Issue{}, changed: make(chan struct{})}
	s.end = sync.OnceFunc(func() { close(s.done) })
	s.settings = s.defaultSettings()
	for _, change := range o.with {
		change(&s.settings)
	}
	s.OwnerToken = newKey()
	s.install()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute, ConnState: s.count}
	go s.http.Serve(ln) // ends with Close
	return s
}

// Close ends the server and every request that hangs in it.
func (s *Server) Close() {
	s.EndHanging()
	_ = s.http.Close() // nothing is left to be done
}

// EndHanging breaks off the requests that hang or wait, and from then on those that would.
func (s *Server) EndHanging() { s.end() }

// Connections is how many are open. Clients keep some for their next requests.
func (s *Server) Connections() int { return int(s.open.Load()) }

func (s *Server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	}
}

// install makes the state of a server whose first user has just been made, with OwnerToken for a token.
func (s *Server) install() {
	s.installation++
	s.deployment = uuid.New()
	s.accounts, s.keys, s.workspaces, s.limits = nil, nil, nil, map[string]*bucket{}
	s.files, s.inbox = nil, nil
	s.orgs = []*organization{s.newDefaultOrganization()}
	if s.version >= v2x31 {
		s.accounts = append(s.accounts, s.newPrebuildsUser())
	}
	owner := s.newAccount("owner", "owner@example.test", "password")
	owner.name, owner.roles, owner.status, owner.password = "Owner", []string{"owner"}, "active", "SomeSecurePassword!1"
	s.accounts = append(s.accounts, owner)
	k := s.newToken(owner, "owner", s.settings.DefaultTokenLifetime)
	k.setWhole(s.OwnerToken)
	s.keys = append(s.keys, k)
}
