// Package metrics is the registry in which each package counts for itself.
//
// Labels have a bounded set of values: no user, host or path that a client chooses ever becomes one.
package metrics

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// fast covers a SQL round trip and a hanging Coder.
var fast = []float64{.0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// Registry holds the metrics of one server. What is asked for twice by the same name is the same.
type Registry struct{ *prometheus.Registry }

// New returns a registry with the process's own metrics.
func New() *Registry {
	r := &Registry{prometheus.NewRegistry()}
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Counter returns a counter without labels.
func (r *Registry) Counter(name, help string) prometheus.Counter {
	return once(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
}

// Counters returns counters by their labels.
func (r *Registry) Counters(name, help string, labels ...string) *prometheus.CounterVec {
	return once(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}

// Gauge returns a value that goes up and down.
func (r *Registry) Gauge(name, help string) prometheus.Gauge {
	return once(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
}

// Times returns histograms of seconds by their labels.
func (r *Registry) Times(name, help string, labels ...string) *prometheus.HistogramVec {
	return once(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: fast}, labels))
}

// GaugeFunc adds a value that is read when the metrics are.
func (r *Registry) GaugeFunc(name, help string, labels map[string]string, value func() float64) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
}

// CounterFunc adds a counter that is read when the metrics are. It must never fall.
func (r *Registry) CounterFunc(name, help string, labels map[string]string, value func() float64) {
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, value))
}

// CoderCall returns an observer of requests to Coder, as coderclient wants one.
func (r *Registry) CoderCall() func(endpoint string, status int, took time.Duration) {
	calls := r.Counters("coderhook_coder_requests_total", "Requests to Coder by endpoint and class of status, 0 for no answer.", "endpoint", "status")
	times := r.Times("coderhook_coder_request_duration_seconds", "Time of a request to Coder.", "endpoint")
	return func(endpoint string, status int, took time.Duration) {
		class := "0"
		if status > 0 {
			class = strconv.Itoa(status/100) + "xx"
		}
		calls.WithLabelValues(endpoint, class).Inc()
		times.WithLabelValues(endpoint).Observe(took.Seconds())
	}
}

// Zero shows counters of one label with the values that it can have: a rate needs a zero to grow from.
func Zero(counters *prometheus.CounterVec, values ...string) {
	for _, value := range values {
		counters.WithLabelValues(value)
	}
}

// once registers a collector, or returns the one that was registered before.
func once[C prometheus.Collector](r *Registry, c C) C {
	err := r.Register(c)
	if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return known.ExistingCollector.(C)
	}
	if err != nil {
		panic(err) // two packages use one name for different things
	}
	return c
}
