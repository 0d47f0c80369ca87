package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// process is a child that is being waited for.
type process struct {
	cmd    *exec.Cmd
	done   chan struct{} // closed when it has ended
	output *tail
}

// start runs a program as who, in dir. Its output goes to log.
func start(who account, log io.Writer, dir, program string, args ...string) (*process, error) {
	p := &process{done: make(chan struct{}), output: &tail{next: log}}
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir, p.cmd.Env, p.cmd.SysProcAttr = dir, environment(), who.attributes()
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	started := make(chan error)
	go func() {
		// On Linux the child gets its death signal when the thread ends that made
		// it. So this thread lives, for nothing else, until the child has ended.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is in its output
			close(p.done)
		}
	}()
	return p, <-started
}

// ready calls probe until it succeeds, the process ends, ctx is done, or half a minute is over.
func (p *process) ready(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("ended at once: %s", p.output)
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// ended waits for a program that ends by itself, and has its output in the error.
func (p *process) ended(ctx context.Context) error {
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.cmd.Process.Kill() // fails only if it has ended by now
		<-p.done
	}
	if state := p.cmd.ProcessState; !state.Success() {
		return fmt.Errorf("%s: %s", state, p.output)
	}
	return nil
}

// stop ends the process by ask, and by force if that takes too long.
func (p *process) stop(ask func() error) {
	if p.cmd.Process == nil {
		return
	}
	patience := 5 * time.Second
	if ask() != nil {
		patience = 0
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill() // fails only if it has ended by now
		<-p.done
	}
}

func (p *process) interrupt() error { return p.cmd.Process.Signal(os.Interrupt) }

// environment is ours without what would change a server's or client's settings.
func environment() []string {
	env := []string{"LC_ALL=C"} // macOS's locale code starts threads, which postgres refuses
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PG") && !strings.HasPrefix(variable, "LC_") {
			env = append(env, variable)
		}
	}
	return env
}

// tail passes a program's output on and keeps its end, for error texts.
type tail struct {
	next io.Writer
	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	t.last = t.last[max(0, len(t.last)-2000):]
	return t.next.Write(b)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return lastLines(t.last)
}

// lastLines returns the end of a program's output in one line.
func lastLines(out []byte) string {
	lines := strings.Split(string(bytes.TrimSpace(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "; ")
}
