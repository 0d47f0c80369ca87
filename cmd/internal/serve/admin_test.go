package serve

import (
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"coderhook/hook/metrics"

	"github.com/rs/zerolog"
)

func TestAdminRoutes(t *testing.T) {
	t.Parallel()
	registry := metrics.New()
	registry.CoderCall()("create_user", 201, time.Millisecond)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: adminRoutes(registry.Registry), ReadHeaderTimeout: time.Second}
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
	if _, err := startAdmin(t.Context(), listener.Addr().String(), registry.Registry, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "ADMIN_ADDR") {
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
