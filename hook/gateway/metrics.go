package gateway

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// counts are the gateway's metrics. Labels have a bounded set of values: nothing that a client chooses becomes one.
type counts struct {
	requests          *prometheus.CounterVec
	refused           *prometheus.CounterVec
	sockets           prometheus.Gauge
	repeated          prometheus.Counter
	toCoder, toClient prometheus.Counter
}

func newCounts(r prometheus.Registerer) *counts {
	make := promauto.With(r)
	bytes := make.NewCounterVec(prometheus.CounterOpts{
		Name: "coderhook_gateway_bytes_total", Help: "Bytes of bodies and WebSockets that went through the gateway, by direction.",
	}, []string{"direction"})
	c := &counts{
		requests: make.NewCounterVec(prometheus.CounterOpts{
			Name: "coderhook_gateway_requests_total", Help: "Requests to the gateway by class of route and of status; class none: not let in.",
		}, []string{"class", "status"}),
		refused: make.NewCounterVec(prometheus.CounterOpts{
			Name: "coderhook_gateway_refused_total", Help: "Requests that the gateway did not pass on, by rule.",
		}, []string{"rule"}),
		sockets:  make.NewGauge(prometheus.GaugeOpts{Name: "coderhook_gateway_sockets", Help: "WebSockets that are open through the gateway."}),
		repeated: make.NewCounter(prometheus.CounterOpts{Name: "coderhook_gateway_repeated_total", Help: "Requests that were sent again with a new key, as Coder did not take the old one."}),
		toCoder:  bytes.WithLabelValues("to_coder"), toClient: bytes.WithLabelValues("to_client"),
	}
	for _, rule := range append(defaultRules, notListed, notAPI, notNormal) {
		if rule.Allow {
			c.requests.WithLabelValues(rule.Class, "2xx")
		} else {
			c.refused.WithLabelValues(rule.Class)
		}
	}
	return c
}

// countOpen shows how much of [quota.Limits].All is taken.
func (g *Gateway) countOpen() {
	make := promauto.With(g.Metrics)
	make.NewGaugeFunc(prometheus.GaugeOpts{Name: "coderhook_gateway_open", Help: "Requests and WebSockets that are open through the gateway."}, func() float64 {
		return float64(g.users.Open())
	})
	make.NewGauge(prometheus.GaugeOpts{Name: "coderhook_gateway_open_limit", Help: "Requests and WebSockets that may be open through the gateway."}).Set(float64(g.Limits.All))
}

// call is one request on its way, and what is told of it.
type call struct {
	g         *Gateway
	w         *answerWriter
	r         *http.Request
	ctx       context.Context // without what others hang into a request's
	cancel    context.CancelCauseFunc
	started   time.Time
	span      trace.Span
	target    target
	protocols protocols
	who       Caller
	rule      Rule
	key       string
	repeats   bool // its body can be sent again

	bodyBroken atomic.Bool // the client did not send it
	stream     atomic.Bool // its answer goes on
	mu         sync.Mutex
	ended      *ending
	endSocket  func(ending)
}

func (g *Gateway) newCall(w http.ResponseWriter, r *http.Request) *call {
	ctx, span := otel.Tracer("coderhook/hook/gateway").Start(r.Context(), "gateway", trace.WithSpanKind(trace.SpanKindServer))
	ctx, cancel := context.WithCancelCause(ctx)
	c := &call{g: g, ctx: ctx, cancel: cancel, started: time.Now(), span: span, r: r}
	c.w = newAnswerWriter(w, r, g)
	g.CORS.decorate(w.Header(), r)
	return c
}

// endless reports whether it is a WebSocket or a stream, which would not end by itself.
func (c *call) endless() bool { return c.target.method == webSocket || c.stream.Load() }

// end ends it, once.
func (c *call) end(why ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return
	}
	c.ended = &why
	if c.endSocket == nil {
		c.cancel(errEnded)
		return
	}
	go c.endSocket(why) // it may have to wait for the client
}

// onEnd says how to end a WebSocket that is open now; false: it has ended already.
func (c *call) onEnd(end func(ending)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endSocket = end
	return c.ended == nil
}

// refused answers with why, unless something was answered.
func (c *call) refused(no *Refusal) {
	c.g.counts.refused.WithLabelValues(no.Rule).Inc()
	c.span.SetAttributes(attribute.String("gateway.refused", no.Rule))
	if c.w.status == 0 {
		no.answer(c.w, c.who)
	}
}

// audit notes who tries what. The path is one in its normal form, so that it holds nothing odd.
func (g *Gateway) audit(c *call, no *Refusal) {
	if g.Audit == nil || !g.users.MayAudit(c.who.User, no.Rule, g.Now()) {
		return
	}
	e := RefusedRoute{User: c.who.User, Rule: no.Rule, Method: c.target.method}
	if no.Rule != notNormal.Class {
		e.Path = c.target.path
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 5*time.Second)
	go func() { // nobody waits for it
		defer cancel()
		if err := g.Audit.Refused(ctx, e); err != nil {
			g.Log.Warn().Err(err).Stringer("user_id", e.User).Str("rule", e.Rule).Msg("gateway: refusal not noted")
		}
	}()
}

// done leaves a line in the log, and counts.
func (c *call) done() {
	c.w.finish()
	class, status := c.rule.Class, strconv.Itoa(c.w.status/100)+"xx"
	if class == "" || !c.rule.Allow {
		class = "none"
	}
	c.g.counts.requests.WithLabelValues(class, status).Inc()
	c.span.SetName("gateway " + class)
	c.span.SetAttributes(attribute.String("http.route", c.rule.pattern), attribute.Int("http.response.status_code", c.w.status))
	c.span.End()
	c.cancel(nil)
	line := c.g.Log.Debug().Str("method", c.target.method).Str("route", c.rule.pattern).Str("class", class).Int("status", c.w.status)
	c.describe(line).Dur("duration_ms", time.Since(c.started)).Msg("gateway call")
}

func (c *call) describe(line *zerolog.Event) *zerolog.Event {
	if c.who.User != uuid.Nil {
		line.Stringer("user_id", c.who.User)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		line.Str("ended", c.ended.reason)
	}
	return line
}
