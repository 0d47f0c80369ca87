package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// process is a server in a process of its own.
type process struct {
	addr string
	cmd  *exec.Cmd
	done chan struct{} // closed at its end
}

// startProcess starts a program that listens on LISTEN_ADDR. What it logs goes to log; nil drops it.
func startProcess(log *os.File, env []string, program string, args ...string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p := &process{addr: addr, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Env = append([]string{"LISTEN_ADDR=" + addr, "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	if log != nil {
		p.cmd.Stdout, p.cmd.Stderr = log, log
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // however it ends
	}()
	return p, nil
}

// freeAddr is where nobody listens at the moment.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// await waits until the path is answered with that status.
func (p *process) await(ctx context.Context, path string, status int) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+path, http.NoBody)
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
		case <-p.done:
			return fmt.Errorf("%s ended by itself", p.cmd.Path)
		case <-ctx.Done():
			return fmt.Errorf("%s: no %d from %s in time", p.cmd.Path, status, path)
		}
	}
}

// stop ends it the way an operator does, and kills it if that takes long.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(5 * time.Second):
		return p.cmd.Process.Kill()
	}
}

var errNoProc = errors.New("this system has no /proc")

// resident is how much memory the process has, in bytes.
func (p *process) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0, errNoProc
	}
	if err != nil {
		return 0, err
	}
	_, line, _ := strings.Cut(string(status), "VmRSS:")
	line, _, _ = strings.Cut(line, " kB")
	kib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return kib << 10, err
}
