package listen

import (
	"errors"
	"net"
	"net/http"
	"testing"
	"time"
)

// Who asks for a connection while the queue is emptied hears nothing: neither that it is connected, nor that it is refused.
func TestNobodyEntersTheQueueAtTheEnd(t *testing.T) {
	t.Parallel()
	port, err := Open(t.Context(), "127.0.0.1:0", Options{Handler: http.HandlerFunc(okHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	early, err := net.Dial("tcp", port.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if n := queued(port.queue.TCPListener); n != 1 {
		t.Errorf("%d in the queue, not 1", n)
	}
	if took := endQueue(port.queue.TCPListener); took != handshakeTime {
		t.Fatalf("the kernel does not do it: %s", took)
	}
	late, err := net.DialTimeout("tcp", port.Addr().String(), 100*time.Millisecond)
	if unheard, ok := errors.AsType[net.Error](err); !ok || !unheard.Timeout() {
		t.Errorf("got %v, %v", late, err)
	}
	if n := queued(port.queue.TCPListener); n != 1 {
		t.Errorf("%d in the queue, not 1", n)
	}
}
