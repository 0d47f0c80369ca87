package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"coderhook/cmd/internal/process"

	"github.com/rs/zerolog"
)

// stopPatience is more than a server takes that has keys to store.
const stopPatience = time.Minute

// server is the real coderhook, as a process of its own.
type server struct {
	*process.Server

	mu       sync.Mutex
	lines    []logLine
	terminal io.Writer // where further lines go, once set
}

// logLine is what we read of the server's log.
type logLine struct {
	raw         string
	Message     string  `json:"message"`
	Outcome     string  `json:"outcome"`
	LookupMS    float64 `json:"lookup_ms"`
	ProvisionMS float64 `json:"provision_ms"`
	WaitedMS    float64 `json:"waited_ms"`
	DurationMS  float64 `json:"duration_ms"`
}

// startServer starts it and waits until it listens.
func startServer(ctx context.Context, binary string, env []string) (_ *server, err error) {
	s := new(server)
	s.Server, err = process.Serve(ctx, binary, env, s.add)
	return s, err
}

func (s *server) add(text string) {
	line := logLine{raw: text}
	_ = json.Unmarshal([]byte(text), &line) // what is no JSON is shown as it is
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	s.show(line)
}

func (s *server) show(line logLine) {
	switch {
	case s.terminal == nil:
	case strings.HasPrefix(line.raw, "{"):
		_, _ = zerolog.ConsoleWriter{Out: s.terminal, TimeFormat: time.TimeOnly}.Write([]byte(line.raw))
	default:
		fmt.Fprintln(s.terminal, line.raw)
	}
}

// showLog sends the log's further lines to the terminal.
func (s *server) showLog(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terminal = w
}

// address returns where the server can be reached from this machine.
func (s *server) address() string {
	_, port, _ := net.SplitHostPort(s.Addr) // as it logged it
	return net.JoinHostPort("127.0.0.1", port)
}

// waitFor returns the first line of the log that matches.
func (s *server) waitFor(ctx context.Context, matches func(logLine) bool) (logLine, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if line, ok := s.find(matches); ok {
			return line, nil
		}
		select {
		case <-ticker.C:
		case <-s.Ended:
			return logLine{}, fmt.Errorf("coderhook ended by itself:\n%s", s.log())
		case <-ctx.Done():
			return logLine{}, fmt.Errorf("coderhook did not get there in time; its log:\n%s", s.log())
		}
	}
}

func (s *server) find(matches func(logLine) bool) (logLine, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.lines {
		if matches(line) {
			return line, true
		}
	}
	return logLine{}, false
}

// forget drops the log so far.
func (s *server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = nil
}

func (s *server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var text strings.Builder
	for _, line := range s.lines {
		text.WriteString(line.raw + "\n")
	}
	return text.String()
}

// stop asks the process to drain and waits for its end.
func (s *server) stop() error { return s.Stop(stopPatience) }
