package codertest

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// maxBody bounds what is read of a request, in bytes, and maxFile what is read of a file.
const (
	maxBody = 1 << 20
	maxFile = 256 << 20 // Coder takes 10 MiB; what carries them is tried with more
)

// ServeHTTP answers as Coder would, but for what Fail asks for.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limit := int64(maxBody)
	if isUpload(r) {
		limit = maxFile
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit))
	if err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
	rec := s.record(r, body)
	fault := s.fault(r)
	var rep reply
	if fault == nil || fault.AfterActing {
		rep = s.act(r, body, rec)
	}
	if fault != nil {
		fault.play(s, w, r)
		if fault.Reset {
			return
		}
		rep = fault.reply(rep, func() reply { return s.act(r, body, rec) })
	}
	s.setStatus(rec, rep.status)
	s.write(w, r, rep, fault != nil && fault.Proxy)
}

// act is the whole of what a Coder without faults does.
func (s *Server) act(r *http.Request, body []byte, rec *Request) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &exchange{Server: s, r: r, body: body, rec: rec}
	rep := e.limited(e.routed)
	rec.Unexpected = rep.unexpected
	return rep
}

// exchange is one request as the handlers see it; the server is locked.
type exchange struct {
	*Server
	r      *http.Request
	body   []byte
	rec    *Request
	params map[string]string
	caller *account // nil on public routes
	key    *apiKey
}

// write adds what every answer of Coder's has.
func (s *Server) write(w http.ResponseWriter, r *http.Request, rep reply, proxy bool) {
	h := w.Header()
	if !proxy {
		s.mu.Lock()
		h.Set("X-Coder-Build-Version", s.version.String())
		s.mu.Unlock()
		h.Set("Date", s.now().UTC().Format(http.TimeFormat))
		h.Set("X-Coder-Request-Id", uuid.NewString())
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Vary", "Cookie")
		h.Set("Set-Cookie", "csrf_token="+csrfToken()+"; Path=/; HttpOnly; SameSite=Lax")
	}
	for name, values := range rep.header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	if rep.stream != nil {
		rep.stream(w, r)
		return
	}
	if rep.location != "" {
		http.Redirect(w, r, rep.location, rep.status)
		return
	}
	w.WriteHeader(rep.status)
	io.Copy(w, strings.NewReader(rep.body)) // the client is gone
}

func csrfToken() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	return base64.StdEncoding.EncodeToString(raw)
}
