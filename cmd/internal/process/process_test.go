package process_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/cmd/internal/process"
)

// The tests start themselves as the program: what it does stands in a variable.
func TestMain(m *testing.M) {
	switch os.Getenv("PROCESS_TEST") {
	case "listen":
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, os.Interrupt)
		fmt.Fprintln(os.Stderr, `{"message":"metrics and profiles","addr":"127.0.0.1:1"}`)
		fmt.Fprintln(os.Stderr, "not JSON")
		fmt.Fprintln(os.Stderr, `{"message":"listening","addr":"127.0.0.1:2"}`)
		<-interrupted
		fmt.Println("interrupted")
	case "hang":
		signal.Ignore(os.Interrupt)
		fmt.Fprintln(os.Stderr, "here")
		select {}
	case "fail":
		fmt.Fprintln(os.Stderr, "a fault")
		os.Exit(3)
	default:
		os.Exit(m.Run())
	}
}

func does(what string) []string { return []string{"PROCESS_TEST=" + what} }

func TestServe(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var observed []string
	s, err := process.Serve(t.Context(), os.Args[0], does("listen"), func(line string) {
		mu.Lock()
		defer mu.Unlock()
		observed = append(observed, line)
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Addr != "127.0.0.1:2" || s.Admin != "127.0.0.1:1" || s.FrontEnd != "" {
		t.Errorf("%q, %q, %q", s.Addr, s.Admin, s.FrontEnd)
	}
	if size, err := s.Resident(); !errors.Is(err, process.ErrNoProc) && (err != nil || size < 1<<20) {
		t.Errorf("%d bytes, %v", size, err)
	}
	if err := errors.Join(s.Stop(time.Minute), s.Wait(time.Minute)); err != nil || s.Output() != "interrupted\n" {
		t.Errorf("%v, %q", err, s.Output())
	}
	if log := s.Log(); strings.Join(observed, "\n")+"\n" != log || !strings.Contains(log, "not JSON\n") {
		t.Errorf("observed %q of the log %q", observed, log)
	}
	if err := errors.Join(s.Signal(os.Interrupt), s.Kill()); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

func TestServeSaysWhyThereIsNoServer(t *testing.T) {
	t.Parallel()
	if s, err := process.Serve(t.Context(), os.Args[0], does("fail")); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "a fault") {
		t.Errorf("got %v, %v", s, err)
	}
	if s, err := process.Serve(t.Context(), filepath.Join(t.TempDir(), "none"), nil); err == nil {
		t.Errorf("got %v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := process.Serve(ctx, os.Args[0], does("hang"), func(string) { cancel() })
	if err == nil || !strings.Contains(err.Error(), "does not listen") {
		t.Errorf("got %v", err)
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	begun := make(chan string, 1)
	p, err := process.Start(process.Command{Program: os.Args[0], Env: does("hang"), Line: func(line string) { begun <- line }})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := p.Stop(time.Millisecond); err != nil {
		t.Error(err)
	}
	if err := p.Wait(time.Minute); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v", err)
	}
}

func TestAwait(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	p, err := process.Start(process.Command{Program: os.Args[0], Env: does("hang")})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Await(t.Context(), server.URL, http.StatusOK); err != nil || asked != 3 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	if err := p.Await(t.Context(), server.URL, http.StatusNotFound); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("got %v", err)
	}
}

// The module's root is found from any folder of it.
func TestBuild(t *testing.T) {
	t.Parallel()
	root, err := process.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "floor")
	if err := process.Build(t.Context(), root, "./cmd/internal/bench/floor", binary); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Error(err)
	}
	if err := process.Build(t.Context(), root, "./none", binary); err == nil || !strings.Contains(err.Error(), "build ./none: ") {
		t.Errorf("got %v", err)
	}
}
