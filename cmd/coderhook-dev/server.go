package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// server is the real coderhook, as a process of its own.
type server struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended and its log is read

	mu       sync.Mutex
	lines    []logLine
	port     string
	terminal io.Writer // where further lines go, once set
}

// logLine is what we read of the server's log.
type logLine struct {
	raw         string
	Message     string  `json:"message"`
	Addr        string  `json:"addr"`
	Outcome     string  `json:"outcome"`
	LookupMS    float64 `json:"lookup_ms"`
	ProvisionMS float64 `json:"provision_ms"`
	WaitedMS    float64 `json:"waited_ms"`
	DurationMS  float64 `json:"duration_ms"`
}

func startProcess(binary string, env []string) (*server, error) {
	s := &server{cmd: exec.Command(binary, "serve"), ended: make(chan struct{})}
	s.cmd.Env = env
	log, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start coderhook: %w", err)
	}
	go s.read(log)
	return s, nil
}

func (s *server) read(log io.Reader) {
	defer close(s.ended)
	scanner := bufio.NewScanner(log)
	for scanner.Scan() {
		line := logLine{raw: scanner.Text()}
		_ = json.Unmarshal(scanner.Bytes(), &line) // what is no JSON is shown as it is
		s.add(line)
	}
}

func (s *server) add(line logLine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	if _, port, err := net.SplitHostPort(line.Addr); err == nil && line.Message == "listening" {
		s.port = port
	}
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

// address is where the server can be reached from this machine, or "" before it listens.
func (s *server) address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.port == "" {
		return ""
	}
	return "127.0.0.1:" + s.port
}

func (s *server) waitUntilListening(ctx context.Context) error {
	_, err := s.waitFor(ctx, func(l logLine) bool { return l.Message == "listening" })
	return err
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
		case <-s.ended:
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
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.ended
	_ = s.cmd.Wait() // interrupted, as asked
	return nil
}
