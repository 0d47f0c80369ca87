package serve

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/cmd/internal/config"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A collector gets the spans in OTLP over HTTP, also at the second try, and nothing of ours that it was not to get.
func TestTracesReachACollector(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	got := make(chan *tracepb.TracesData, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("Authorization") != "Basic abc" || r.URL.Path != "/v1/traces" {
			t.Errorf("%s with %v", r.URL.Path, r.Header)
		}
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(unpacked)
		data := new(tracepb.TracesData)
		if err == nil {
			err = proto.Unmarshal(body, data)
		}
		if err != nil {
			t.Error(err)
		}
		got <- data
	}))
	defer server.Close()
	to := newCollector(config.OTLP{URL: server.URL + "/v1/traces", Headers: http.Header{"Authorization": {"Basic abc"}}, Timeout: time.Minute, Gzip: true})
	exporter, err := otlptrace.New(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	_, span := provider.Tracer("test").Start(t.Context(), "a mint")
	span.End()
	data := <-got
	if spans := data.ResourceSpans[0].ScopeSpans[0].Spans; len(spans) != 1 || spans[0].Name != "a mint" || len(spans[0].TraceId) != 16 {
		t.Errorf("got %v", data)
	}
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// What a later try would not change is not tried again, and told without the headers.
func TestARefusedTraceIsGivenUp(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	to := newCollector(config.OTLP{URL: server.URL, Headers: http.Header{"Authorization": {"Basic hunter2"}}, Timeout: time.Minute})
	err := to.UploadTraces(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "hunter2") || tries.Load() != 1 {
		t.Errorf("%d tries, %v", tries.Load(), err)
	}
}
