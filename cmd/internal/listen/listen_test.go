package listen

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
)

// A connection that was accepted before the port closed is answered, also if its request
// comes after; http.Server.Shutdown alone would drop it.
func TestAcceptedConnectionsAreAnswered(t *testing.T) {
	t.Parallel()
	port, err := Open(t.Context(), "127.0.0.1:0", Options{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Connection", "close")
		_, _ = w.Write(body)
	})})
	if err != nil {
		t.Fatal(err)
	}
	port.server.ReadHeaderTimeout = time.Minute // a busy machine takes its time to make and to accept them
	go port.Serve()
	conns := make([]net.Conn, 20)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", port.Addr().String()); err != nil {
			t.Fatal(err)
		}
	}
	cmdtest.Eventually(t, "all are accepted", func() bool { return port.pool.count() == len(conns) })
	closed := make(chan error, 1)
	go func() { closed <- port.Shutdown(t.Context()) }()
	cmdtest.Eventually(t, "the port is closed", func() bool {
		conn, err := net.DialTimeout("tcp", port.Addr().String(), time.Second)
		if err != nil {
			return true
		}
		_ = conn.Close()
		return false
	})
	for _, conn := range conns {
		if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("a request broke: %v", err)
		}
		if body, _ := io.ReadAll(response.Body); string(body) != "hi" {
			t.Errorf("got %q", body)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// Those in the kernel's queue are connected already, and may have sent their request. On a busy machine the time in which
// we accept them is over before we begin.
func TestQueuedConnectionsAreAnswered(t *testing.T) {
	t.Parallel()
	port, err := Open(t.Context(), "127.0.0.1:0", Options{Handler: http.HandlerFunc(okHandler)})
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, 20)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", port.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		if _, err := io.WriteString(conns[i], "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := port.queue.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	go port.Serve()
	for _, conn := range conns {
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
			t.Fatalf("a request broke: %v", err)
		}
	}
	if err := <-port.served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the port is not closed: %v", err)
	}
	if err := port.server.Close(); err != nil {
		t.Error(err)
	}
}

// Twenty servers leave while sixteen clients of each connect in tight loops, all at the same time: the machine is busy.
// A client sees answers, and in the end that it can't connect; never a connection that ends under its request.
func TestNoRequestIsBrokenWhenThePortCloses(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { leaveUnderLoad(t) })
	}
	all.Wait()
}

func leaveUnderLoad(t *testing.T) {
	port, err := Open(t.Context(), "127.0.0.1:0", Options{Handler: http.HandlerFunc(okHandler)})
	if err != nil {
		t.Error(err)
		return
	}
	go port.Serve()
	var clients sync.WaitGroup
	var answered atomic.Int64
	enough := make(chan struct{})
	for range 16 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for {
				response, err := client.Get("http://" + port.Addr().String())
				if broken, ok := errors.AsType[*net.OpError](err); ok && broken.Op == "dial" {
					return
				}
				if err != nil {
					t.Errorf("a request broke: %v", err)
					return
				}
				_ = response.Body.Close()
				if answered.Add(1) == 100 {
					close(enough)
				}
			}
		})
	}
	<-enough
	if err := port.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	clients.Wait()
}
