package codertest

import (
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// Fault is something that goes wrong with certain requests. Its parts come in this order: delay or until, then one of
// hang, reset and status; with none of them the request is answered, only late.
type Fault struct {
	Method string // "": any
	Path   string // below /api/v2, "*" for one segment, as "/users/*/keys/tokens"; "": any
	Nth    int    // the first request that it hits, counted from 1 among those that match; 0: the next
	Times  int    // how many it hits from there on; 0: all

	Delay  time.Duration
	Until  <-chan struct{} // waits until it is closed, instead of a delay; nil: does not
	Hang   bool            // no answer until the client gives up or the server closes
	Reset  bool            // the connection is reset
	Status int             // this answer
	Header http.Header
	Body   string // JSON unless Header says otherwise

	AfterActing bool // the request is executed first, then goes wrong
	Proxy       bool // the answer lacks what all of Coder's have: something in front of Coder gave it
}

type armed struct {
	Fault
	seen int
}

// Fail arms f and returns how to disarm it. Of several that fit a request, the one armed last counts.
func (s *Server) Fail(f Fault) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &armed{Fault: f}
	s.faults = append(s.faults, a)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = slices.DeleteFunc(s.faults, func(other *armed) bool { return other == a })
	}
}

// fault finds the one to play, and counts.
func (s *Server) fault(r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hit *Fault
	for _, a := range s.faults {
		if a.matches(r) {
			a.seen++
			if first := max(a.Nth, 1); a.seen >= first && (a.Times == 0 || a.seen < first+a.Times) {
				hit = &a.Fault
			}
		}
	}
	return hit
}

func (f *Fault) matches(r *http.Request) bool {
	if f.Method != "" && f.Method != r.Method {
		return false
	}
	below := strings.TrimPrefix(r.URL.Path, apiPrefix)
	fits, err := path.Match(f.Path, below)
	return f.Path == "" || err == nil && fits
}

// play delays, hangs or resets. A request that ends in it is aborted, as a mere return would answer 200.
func (f *Fault) play(s *Server, w http.ResponseWriter, r *http.Request) {
	var delay <-chan time.Time
	if !f.Hang && f.Until == nil {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		delay = timer.C
	}
	select {
	case <-delay:
	case <-f.Until:
	case <-s.done:
		panic(http.ErrAbortHandler)
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
	if f.Reset {
		reset(w)
	}
}

// reset closes so that the client gets a reset and not an end.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// reply is the answer in place of acted, which is empty if the request has not been executed.
func (f *Fault) reply(acted reply, act func() reply) reply {
	switch {
	case f.Status != 0:
		header := jsonHeader()
		for name, values := range f.Header {
			header[http.CanonicalHeaderKey(name)] = values
		}
		return reply{status: f.Status, header: header, body: f.Body}
	case f.AfterActing:
		return acted
	}
	return act()
}
