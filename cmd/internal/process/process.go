// Package process runs coderhook as a process of its own, for tests that kill it.
package process

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startPatience is how long the program may take until it listens.
const startPatience = 10 * time.Second

// Server is a running `coderhook serve`.
type Server struct {
	Addr     string // where it listens
	FrontEnd string // where browsers come in, "" if that is Addr
	Admin    string // where its metrics and profiles are, "" if they are off
	PID      int
	Ended    chan struct{} // closed when it has ended and its log is read

	cmd *exec.Cmd
	err error        // how it ended
	out bytes.Buffer // standard output, to be read after the end

	mu  sync.Mutex
	log strings.Builder
}

// Start runs the program with this environment alone, and waits until it listens.
func Start(binary string, env []string) (*Server, error) {
	s := &Server{cmd: exec.Command(binary, "serve"), Ended: make(chan struct{})}
	s.cmd.Env, s.cmd.Stdout = env, &s.out
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start coderhook: %w", err)
	}
	s.PID = s.cmd.Process.Pid
	listening := make(chan string, 1)
	go s.read(stderr, listening)
	select {
	case s.Addr = <-listening:
		return s, nil
	case <-s.Ended:
		return nil, fmt.Errorf("coderhook ended at once: %w\n%s", s.err, s.Log())
	case <-time.After(startPatience):
		return nil, errors.Join(fmt.Errorf("coderhook does not listen:\n%s", s.Log()), s.Kill())
	}
}

func (s *Server) read(log io.Reader, listening chan<- string) {
	defer close(s.Ended)
	scanner := bufio.NewScanner(log)
	for scanner.Scan() {
		var line struct{ Message, Addr string }
		_ = json.Unmarshal(scanner.Bytes(), &line) // any other line is only kept
		s.mu.Lock()
		s.log.WriteString(scanner.Text() + "\n")
		s.mu.Unlock()
		switch line.Message {
		case "metrics and profiles": // it comes first
			s.Admin = line.Addr
		case "listening for browsers": // likewise
			s.FrontEnd = line.Addr
		case "listening":
			listening <- line.Addr
		}
	}
	s.err = s.cmd.Wait()
}

// Log is its standard error so far.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Output is its standard output, once it has ended.
func (s *Server) Output() string {
	<-s.Ended
	return s.out.String()
}

// Signal sends a signal. To a process that has ended this is no error.
func (s *Server) Signal(signal os.Signal) error {
	if err := s.cmd.Process.Signal(signal); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Kill ends it at once, and waits for that.
func (s *Server) Kill() error {
	err := s.Signal(syscall.SIGKILL)
	<-s.Ended
	return err
}

// Wait waits for its end and tells how it ended; the error is nil for exit status 0.
func (s *Server) Wait(patience time.Duration) error {
	select {
	case <-s.Ended:
		return s.err
	case <-time.After(patience):
		return fmt.Errorf("coderhook does not end within %s", patience)
	}
}
