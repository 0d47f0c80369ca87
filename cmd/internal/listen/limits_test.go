package listen

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/keypair"
	"coderhook/cmd/internal/selfsigned"

	"github.com/rs/zerolog"
)

func okHandler(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func openTestPort(t *testing.T, cert *keypair.Pair, headerTimeout time.Duration) *Port {
	t.Helper()
	port, err := Open(t.Context(), "127.0.0.1:0", Options{Handler: http.HandlerFunc(okHandler), Certificate: cert})
	if err != nil {
		t.Fatal(err)
	}
	port.server.ReadHeaderTimeout = headerTimeout
	go port.Serve()
	t.Cleanup(func() { _ = port.server.Close() })
	return port
}

func TestHugeHeaderIsRefused(t *testing.T) {
	t.Parallel()
	port := openTestPort(t, nil, time.Second)
	for size, want := range map[int]int{8 << 10: http.StatusOK, 64 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+port.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Big", strings.Repeat("x", size))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%d bytes: %d, want %d", size, response.StatusCode, want)
		}
	}
}

// Who sends a header byte by byte is cut off, and does not keep others from being answered.
func TestSlowLoris(t *testing.T) {
	t.Parallel()
	port := openTestPort(t, nil, 100*time.Millisecond)
	slow := make([]net.Conn, 50)
	for i := range slow {
		conn, err := net.Dial("tcp", port.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST / HT"); err != nil {
			t.Fatal(err)
		}
		slow[i] = conn
	}
	response, err := http.Get("http://" + port.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	for _, conn := range slow {
		if err := conn.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		// Cut off with or without a word, but not by our own deadline.
		if _, err := io.ReadAll(bufio.NewReader(conn)); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatal("a connection without a request stays open")
		}
	}
}

// At the limit of connections the port can still be closed.
func TestCloseAtTheConnectionLimit(t *testing.T) {
	t.Parallel()
	port := openTestPort(t, nil, 50*time.Millisecond)
	for range maxConnections + 1 {
		conn, err := net.Dial("tcp", port.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if err := port.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A port may have other limits than the hook's.
func TestLimitsOfAPort(t *testing.T) {
	t.Parallel()
	for want, o := range map[int]Options{maxConnections: {}, 5000: {Connections: 5000, Streams: 100}} {
		port, err := Open(t.Context(), "127.0.0.1:0", o)
		if err != nil {
			t.Fatal(err)
		}
		if got := port.server.HTTP2.MaxConcurrentStreams; port.Limit() != want || got != cmp.Or(o.Streams, maxStreams) {
			t.Errorf("%d connections and %d streams", port.Limit(), got)
		}
		if err := port.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTLSCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writePair(t, dir, "first.example.com")
	cert, err := keypair.Open(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	cert.Recheck = 0 // each handshake looks at the files
	port := openTestPort(t, cert, time.Second)
	if got := servedName(t, port); got != "first.example.com" {
		t.Errorf("got %s", got)
	}
	// Half a renewal: the old one stays.
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := servedName(t, port); got != "first.example.com" {
		t.Errorf("after a broken renewal: got %s", got)
	}
	writePair(t, dir, "second.example.com")
	if got := servedName(t, port); got != "second.example.com" {
		t.Errorf("after a renewal: got %s", got)
	}
	if _, err := keypair.Open("/none", "/none", zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "/none") {
		t.Errorf("got %v", err)
	}
}

func servedName(t *testing.T, port *Port) string {
	t.Helper()
	return dialTLS(t, port).ConnectionState().PeerCertificates[0].DNSNames[0]
}

func dialTLS(t *testing.T, port *Port, protocols ...string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", port.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func testCertificate(t *testing.T) *keypair.Pair {
	t.Helper()
	dir := t.TempDir()
	writePair(t, dir, "coderhook.example.com")
	cert, err := keypair.Open(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func writePair(t *testing.T, dir, name string) {
	t.Helper()
	if _, err := selfsigned.Write(dir, name, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
}
