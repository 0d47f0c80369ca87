package serve

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"coderhook/cmd/internal/config"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector sends spans to a collector of OpenTelemetry's. It is a client for [otlptrace] of our own as the one of
// otlptracehttp brings gRPC and its gateway into the program, which speaks neither: a third of its size.
type collector struct {
	config.OTLP
	client *http.Client
}

var _ otlptrace.Client = (*collector)(nil)

func newCollector(to config.OTLP) *collector {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = to.TLS
	return &collector{OTLP: to, client: &http.Client{Transport: transport, Timeout: to.Timeout}}
}

// Start does nothing: there is no connection to keep.
func (*collector) Start(context.Context) error { return nil }

// Stop ends idle connections.
func (c *collector) Stop(context.Context) error {
	c.client.CloseIdleConnections()
	return nil
}

// UploadTraces sends spans, and again where the collector says that this may help. ctx ends the attempts: the batch
// processor gives it 30 s (OTEL_BSP_EXPORT_TIMEOUT).
func (c *collector) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := c.encode(spans)
	if err != nil {
		return err
	}
	_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, c.post(ctx, body) },
		backoff.WithMaxElapsedTime(time.Minute))
	return err
}

// encode writes ExportTraceServiceRequest: TracesData is the same on the wire, as the specification says of it.
func (c *collector) encode(spans []*tracepb.ResourceSpans) ([]byte, error) {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil || !c.Gzip {
		return body, err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil { // it writes the end
		return nil, err
	}
	return packed.Bytes(), nil
}

// post makes one try. An error that a later one may not meet is as backoff wants it.
func (c *collector) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(err)
	}
	for name, values := range c.Headers {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	if c.Gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("send traces: %w", err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
			return backoff.RetryAfter(seconds)
		}
		return fmt.Errorf("send traces: the collector answers %s", response.Status)
	}
	if response.StatusCode/100 != 2 {
		return backoff.Permanent(fmt.Errorf("send traces: the collector answers %s", response.Status))
	}
	return nil
}
