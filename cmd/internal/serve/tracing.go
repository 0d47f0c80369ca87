package serve

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"coderhook/cmd/internal/config"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// tracing is off unless OpenTelemetry's own variables turn it on. What they say of sampler, resource and batches is
// read by the SDK.
type tracing struct {
	on       bool
	provider *sdktrace.TracerProvider
}

func startTracing(ctx context.Context, exporter string, collector config.OTLP, out io.Writer) (tracing, error) {
	var (
		to  sdktrace.SpanExporter
		err error
	)
	switch exporter {
	case "otlp":
		to, err = otlptrace.New(ctx, newCollector(collector))
	case "console":
		to, err = stdouttrace.New(stdouttrace.WithWriter(out))
	default:
		return tracing{}, nil
	}
	if err != nil {
		return tracing{}, fmt.Errorf("OTEL_TRACES_EXPORTER: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(to))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return tracing{true, provider}, nil
}

// stop sends what is not sent yet.
func (t tracing) stop(ctx context.Context) error {
	if !t.on {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// handler makes a span of each request to one of our routes.
func (t tracing) handler(next http.Handler) http.Handler {
	if !t.on {
		return next
	}
	return otelhttp.NewHandler(next, "coderhook",
		otelhttp.WithFilter(func(r *http.Request) bool { return spanName("", r) != r.Method }),
		otelhttp.WithSpanNameFormatter(spanName))
}

// spanName returns the name of one of our routes; anything else that somebody asks for has no span.
func spanName(_ string, r *http.Request) string {
	switch r.URL.Path {
	case "/hooks/custom-access-token", "/create-coder-user", "/applications/auth-redirect":
		return r.Method + " " + r.URL.Path
	}
	return r.Method
}

// client makes a span of each request to Coder, without its query: an app's address is in there, with secrets of its own.
func (t tracing) client(transport *http.Transport) *http.Client {
	if !t.on {
		return &http.Client{Transport: transport}
	}
	return &http.Client{Transport: hideQuery{otelhttp.NewTransport(showQuery{transport})}}
}

// hideQuery takes the query from what the next transport sees, and showQuery gives it back.
type (
	hideQuery struct{ next http.RoundTripper }
	showQuery struct{ next http.RoundTripper }
	queryKey  struct{}
)

func (h hideQuery) RoundTrip(r *http.Request) (*http.Response, error) {
	hidden := r.Clone(context.WithValue(r.Context(), queryKey{}, r.URL.RawQuery))
	hidden.URL.RawQuery, hidden.URL.ForceQuery = "", false
	return h.next.RoundTrip(hidden)
}

func (s showQuery) RoundTrip(r *http.Request) (*http.Response, error) {
	shown := r.Clone(r.Context())
	shown.URL.RawQuery, _ = r.Context().Value(queryKey{}).(string)
	return s.next.RoundTrip(shown)
}
