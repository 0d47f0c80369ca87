package hook

import (
	"net/http"
	"time"

	"coderhook/hook/keyring"
	"coderhook/hook/metrics"
	"coderhook/hook/policy"
	"coderhook/hook/provision"

	"github.com/prometheus/client_golang/prometheus"
)

// mintMetrics counts token mints.
type mintMetrics struct {
	mints    *prometheus.CounterVec
	mintTime *prometheus.HistogramVec
}

func newMintMetrics(r *metrics.Registry) *mintMetrics {
	m := &mintMetrics{
		mints:    r.Counters("coderhook_mints_total", "Token mints by outcome and reason.", "outcome", "reason"),
		mintTime: r.Times("coderhook_mint_duration_seconds", "Time from a mint's request to its answer.", "outcome"),
	}
	m.start()
	return m
}

// start makes what will be counted visible from the beginning: a rate needs a zero to grow from.
func (m *mintMetrics) start() {
	for outcome, reasons := range map[string][]string{
		"injected":                          {provision.ReasonFound, provision.ReasonMade, provision.ReasonKept, keyring.ReasonShort},
		string(provision.StatusReady):       {provision.ReasonFound, provision.ReasonMade, provision.ReasonKept, keyring.ReasonShort},
		string(provision.StatusPending):     {reasonNoKey},
		string(provision.StatusUnavailable): {reasonNoKey},
		string(provision.StatusConflict):    {reasonNoKey},
		outcomeTooLarge:                     {reasonNoRoom},
		"skipped":                           {policy.SkipAnonymous, policy.SkipNoEmail, policy.SkipOAuthClient, policy.SkipAAL, policy.SkipRole, policy.SkipSubject},
		outcomeRejected:                     {reasonChain},
		"failed":                            {"panic", reasonChain},
		"refused": {
			http.StatusText(http.StatusUnauthorized), http.StatusText(http.StatusBadRequest), http.StatusText(http.StatusRequestEntityTooLarge),
			http.StatusText(http.StatusServiceUnavailable), "internal error",
		},
	} {
		m.mintTime.WithLabelValues(outcome)
		for _, reason := range reasons {
			m.mints.WithLabelValues(outcome, reason)
		}
	}
}

func (m *mintMetrics) mint(outcome, reason string, took time.Duration) {
	m.mints.WithLabelValues(outcome, reason).Inc()
	m.mintTime.WithLabelValues(outcome).Observe(took.Seconds())
}
