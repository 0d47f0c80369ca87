package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Shutdown is a way to end a server, by PostgreSQL's name for it.
type Shutdown string

// Both disconnect everybody at once.
const (
	Fast      Shutdown = "fast"      // in good order
	Immediate Shutdown = "immediate" // as a crash: the next start recovers
)

// Halt ends the server and keeps its data, for Resume. What was committed outlives a crash only
// with the setting synchronous_commit=on.
func (s *Server) Halt(how Shutdown) { s.process.stop(func() error { return s.shutdown(how) }) }

// Resume starts the server again after Halt, at the same address.
func (s *Server) Resume(ctx context.Context) error {
	if err := s.serve(ctx); err != nil {
		return fmt.Errorf("start PostgreSQL again: %w", err)
	}
	return nil
}

// ResumeAsStandby starts the server again after Halt, as a standby of nobody: it can be read only,
// until pg_promote.
func (s *Server) ResumeAsStandby(ctx context.Context) error {
	signal := filepath.Join(s.data(), "standby.signal")
	if err := errors.Join(os.WriteFile(signal, nil, 0o600), s.account.own(signal)); err != nil {
		return fmt.Errorf("make a standby: %w", err)
	}
	return s.Resume(ctx)
}

// shutdown asks the postmaster to disconnect everybody and end.
func (s *Server) shutdown(how Shutdown) error {
	if hasSockets {
		return s.process.cmd.Process.Signal(map[Shutdown]os.Signal{Fast: os.Interrupt, Immediate: syscall.SIGQUIT}[how])
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, filepath.Join(s.bin, "pg_ctl"), "stop", "-D", s.data(), "-m", string(how)).Run()
}
