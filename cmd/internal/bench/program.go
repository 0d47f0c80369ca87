package main

import (
	"context"
	"io"
	"net"
	"os"
	"time"

	"coderhook/cmd/internal/process"
)

// stopPatience is how long a server may take to end.
const stopPatience = 5 * time.Second

// program is a server that was started where LISTEN_ADDR says. It is not asked for its address, as coderhook would be
// through its log: to read the log while we measure would take time from what is measured.
type program struct {
	*process.Process
	addr string
}

// start starts it. What it logs goes to log; nil drops it.
func start(log io.Writer, env []string, binary string, args ...string) (*program, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	c := process.Command{Program: binary, Args: args, Stdout: log, Stderr: log}
	c.Env = append([]string{"LISTEN_ADDR=" + addr, "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	p, err := process.Start(c)
	return &program{p, addr}, err
}

// freeAddr returns an address where nobody listens at the moment.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (p *program) await(ctx context.Context, path string, status int) error {
	return p.Await(ctx, "http://"+p.addr+path, status)
}

func (p *program) stop() error { return p.Stop(stopPatience) }
