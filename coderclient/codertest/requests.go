package codertest

import (
	"net/http"
	"regexp"
	"slices"
	"time"
)

// Request is one that the server has received, in the order of arrival.
type Request struct {
	Method     string
	Path       string // without the query
	Body       string // passwords masked; "" for a file
	As         string // whose key it came with; "" for none, a bad one, or a public route
	Status     int    // 0: no answer, or none yet
	Time       time.Time
	Unexpected bool // the server does not know what it asks for
}

var passwordPattern = regexp.MustCompile(`("password"\s*:\s*)"(?:[^"\\]|\\.)*"`)

func (s *Server) record(r *http.Request, body []byte) *Request {
	rec := &Request{
		Method: r.Method, Path: r.URL.Path, Time: s.now(),
		Body: passwordPattern.ReplaceAllString(string(body), `$1"***"`),
	}
	if isUpload(r) {
		rec.Body = ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, rec)
	return rec
}

func (s *Server) setStatus(rec *Request, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec.Status = status
}

// Requests are all since the start or the last ForgetRequests.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Request, len(s.requests))
	for i, rec := range s.requests {
		list[i] = *rec
	}
	return list
}

// Unexpected are the requests that the server does not know. A test of something that knows Coder wants none.
func (s *Server) Unexpected() []Request {
	return slices.DeleteFunc(s.Requests(), func(r Request) bool { return !r.Unexpected })
}

// ForgetRequests empties the record.
func (s *Server) ForgetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}
