package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Server is a running `coderhook serve`.
type Server struct {
	*Process
	Addr     string // where it listens
	FrontEnd string // where browsers come in, "" if that is Addr
	Gateway  string // where the gateway is, "" if it has no address of its own
	Admin    string // where its metrics and profiles are, "" if they are off

	listening chan string
	out       bytes.Buffer // standard output, to be read after the end

	mu  sync.Mutex
	log strings.Builder
}

// Serve starts coderhook with this environment alone, and waits until it listens. Observers are told each line of its
// log, which has to be JSON.
func Serve(ctx context.Context, binary string, env []string, observers ...func(line string)) (*Server, error) {
	s := &Server{listening: make(chan string, 1)}
	var err error
	s.Process, err = Start(Command{Program: binary, Args: []string{"serve"}, Env: env, Stdout: &s.out, Line: func(line string) {
		s.note(line)
		for _, observe := range observers {
			observe(line)
		}
	}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	select {
	case s.Addr = <-s.listening:
		return s, nil
	case <-s.Ended:
		return nil, fmt.Errorf("coderhook ended at once: %w\n%s", s.Wait(time.Second), s.Log())
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("coderhook does not listen:\n%s", s.Log()), s.Kill())
	}
}

// note keeps a line, and where the server says that it listens.
func (s *Server) note(text string) {
	s.mu.Lock()
	s.log.WriteString(text + "\n")
	s.mu.Unlock()
	var line struct{ Message, Addr string }
	_ = json.Unmarshal([]byte(text), &line) // any other line is only kept
	switch line.Message {
	case "metrics and profiles": // it comes first
		s.Admin = line.Addr
	case "listening for browsers": // likewise
		s.FrontEnd = line.Addr
	case "listening for the gateway": // likewise
		s.Gateway = line.Addr
	case "listening":
		s.listening <- line.Addr
	}
}

// Log returns its standard error so far.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Output returns its standard output, once it has ended.
func (s *Server) Output() string {
	<-s.Ended
	return s.out.String()
}
