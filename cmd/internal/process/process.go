// Package process builds and runs programs as processes of their own: coderhook itself, and what it is measured beside.
//
// PostgreSQL has a launcher of its own, in storetest/pgserver: it runs as another account, dies with us, and is below
// cmd, which it may not import.
package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// startPatience bounds how long a program may take until it answers.
const startPatience = 30 * time.Second

// Command says what to run.
type Command struct {
	Program string // required
	Args    []string
	Env     []string // the whole environment
	Stdout  io.Writer
	Stderr  io.Writer         // beside Line
	Line    func(line string) // is told each line of standard error; nil leaves it to Stderr
}

// Process is a program that was started.
type Process struct {
	PID   int
	Ended chan struct{} // closed when it has ended and its standard error is read

	cmd *exec.Cmd
	err error // how it ended
}

// Start runs a program. Whoever starts it ends it.
func Start(c Command) (*Process, error) {
	p := &Process{cmd: exec.Command(c.Program, c.Args...), Ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = c.Env, c.Stdout, c.Stderr
	read := func() {}
	if c.Line != nil {
		p.cmd.Stderr = nil
		pipe, err := p.cmd.StderrPipe()
		if err != nil {
			return nil, err
		}
		read = func() { readLines(pipe, c.Line) }
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Program, err)
	}
	p.PID = p.cmd.Process.Pid
	go func() {
		defer close(p.Ended)
		read()
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

func readLines(from io.Reader, tell func(string)) {
	scanner := bufio.NewScanner(from)
	for scanner.Scan() {
		tell(scanner.Text())
	}
}

// Await waits until a GET of the URL is answered with that status.
func (p *Process) Await(ctx context.Context, url string, status int) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		if response, err := http.DefaultClient.Do(request); err == nil {
			if response.Body.Close(); response.StatusCode == status {
				return nil
			}
		}
		select {
		case <-ticker.C:
		case <-p.Ended:
			return fmt.Errorf("%s ended by itself", p.cmd.Path)
		case <-ctx.Done():
			return fmt.Errorf("%s: no %d from %s in time", p.cmd.Path, status, url)
		}
	}
}

// Signal sends a signal. To a process that has ended this is no error.
func (p *Process) Signal(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Kill ends it at once, and waits for that.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	<-p.Ended
	return err
}

// Stop asks it to end, as an operator does, and kills it if that takes longer than patience.
func (p *Process) Stop(patience time.Duration) error {
	if err := p.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case <-p.Ended:
		return nil
	case <-time.After(patience):
		return p.Kill()
	}
}

// Wait waits for its end and tells how it ended; the error is nil for exit status 0.
func (p *Process) Wait(patience time.Duration) error {
	select {
	case <-p.Ended:
		return p.err
	case <-time.After(patience):
		return fmt.Errorf("%s does not end within %s", p.cmd.Path, patience)
	}
}
