package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A connection that was accepted before the port closed is answered, also if its request
// comes after; http.Server.Shutdown alone would drop it.
func TestAcceptedConnectionsAreAnswered(t *testing.T) {
	t.Parallel()
	door, err := openFrontDoor(t.Context(), "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Connection", "close")
		_, _ = w.Write(body)
	}))
	if err != nil {
		t.Fatal(err)
	}
	go door.serve(nil)
	conns := make([]net.Conn, 20)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", door.Addr().String()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are accepted", func() bool {
		door.mu.Lock()
		defer door.mu.Unlock()
		return len(door.busy) == len(conns)
	})
	closed := make(chan error, 1)
	go func() { closed <- door.close(t.Context()) }()
	eventually(t, "the port is closed", func() bool {
		conn, err := net.DialTimeout("tcp", door.Addr().String(), time.Second)
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
