package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/selfsigned"
	"coderhook/hook"

	"github.com/rs/zerolog"
)

func okHandler(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func openTestDoor(t *testing.T, cert *certificate, headerTimeout time.Duration) *frontDoor {
	t.Helper()
	door, err := openFrontDoor(t.Context(), "127.0.0.1:0", http.HandlerFunc(okHandler))
	if err != nil {
		t.Fatal(err)
	}
	door.server.ReadHeaderTimeout = headerTimeout
	go door.serve(cert)
	t.Cleanup(func() { _ = door.server.Close() })
	return door
}

func TestHugeHeaderIsRefused(t *testing.T) {
	t.Parallel()
	door := openTestDoor(t, nil, time.Second)
	for size, want := range map[int]int{8 << 10: http.StatusOK, 64 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+door.Addr().String(), nil)
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
	door := openTestDoor(t, nil, 100*time.Millisecond)
	slow := make([]net.Conn, 50)
	for i := range slow {
		conn, err := net.Dial("tcp", door.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST / HT"); err != nil {
			t.Fatal(err)
		}
		slow[i] = conn
	}
	response, err := http.Get("http://" + door.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	for _, conn := range slow {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
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
	door := openTestDoor(t, nil, 50*time.Millisecond)
	for range maxConnections + 1 {
		conn, err := net.Dial("tcp", door.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if err := door.close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTLSCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writePair(t, dir, "first.example.com")
	cert, err := openCertificate(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	door := openTestDoor(t, cert, time.Second)
	if got := servedName(t, door); got != "first.example.com" {
		t.Errorf("got %s", got)
	}
	// Half a renewal: the old one stays.
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	cert.lookNow()
	if got := servedName(t, door); got != "first.example.com" {
		t.Errorf("after a broken renewal: got %s", got)
	}
	writePair(t, dir, "second.example.com")
	cert.lookNow()
	if got := servedName(t, door); got != "second.example.com" {
		t.Errorf("after a renewal: got %s", got)
	}
	if _, err := openCertificate("/none", "/none", zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "TLS_CERT_FILE") {
		t.Errorf("got %v", err)
	}
}

// lookNow lets the next handshake look at the files again.
func (c *certificate) lookNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookedAt = time.Time{}
}

func servedName(t *testing.T, door *frontDoor) string {
	t.Helper()
	return dialTLS(t, door).ConnectionState().PeerCertificates[0].DNSNames[0]
}

func dialTLS(t *testing.T, door *frontDoor, protocols ...string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", door.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func testCertificate(t *testing.T) *certificate {
	t.Helper()
	dir := t.TempDir()
	writePair(t, dir, "coderhook.example.com")
	cert, err := openCertificate(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func writePair(t *testing.T, dir, name string) {
	t.Helper()
	writePairUntil(t, dir, name, time.Now().Add(time.Hour))
}

func writePairUntil(t *testing.T, dir, name string, end time.Time) {
	t.Helper()
	if _, err := selfsigned.Write(dir, name, end); err != nil {
		t.Fatal(err)
	}
}

func TestAdminRoutes(t *testing.T) {
	t.Parallel()
	metrics := hook.NewMetrics()
	metrics.CoderCall("create_user", 201, time.Millisecond)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: adminRoutes(metrics.Registry), ReadHeaderTimeout: time.Second}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	for path, want := range map[string]string{
		"/metrics":      `coderhook_coder_requests_total{endpoint="create_user",status="2xx"} 1`,
		"/debug/pprof/": "goroutine",
	} {
		response, err := http.Get("http://" + listener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d, without %q", path, response.StatusCode, want)
		}
	}
	if _, err := startAdmin(t.Context(), listener.Addr().String(), metrics.Registry, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "ADMIN_ADDR") {
		t.Errorf("taken address: %v", err)
	}
}

// Not parallel: it is the whole process's.
func TestGarbageIsCollectedAsTheOperatorSays(t *testing.T) {
	before, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetGCPercent(before); debug.SetMemoryLimit(limit) })
	for gogc, want := range map[string]int{"": heapGrowth, "100": 100, "off": 100} { // Go itself has read the last two
		spendMemory(func(string) string { return gogc })
		if got := debug.SetGCPercent(100); got != want {
			t.Errorf("GOGC=%q: %d", gogc, got)
		}
	}
	for given, want := range map[string]int64{"": calmMemory, "1GiB": 1 << 30} {
		debug.SetMemoryLimit(1 << 30)
		spendMemory(func(string) string { return given })
		if got := debug.SetMemoryLimit(-1); got != want {
			t.Errorf("GOMEMLIMIT=%q: %d", given, got)
		}
	}
}
