package reconcile

import (
	"errors"
	"time"

	"coderhook/hook/metrics"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what reconciling does.
type Metrics struct {
	reconciles     *prometheus.CounterVec
	changes        *prometheus.CounterVec
	notReconciled  prometheus.Counter
	lastReconciled prometheus.Gauge
}

// NewMetrics returns those of a registry.
func NewMetrics(r *metrics.Registry) *Metrics {
	m := &Metrics{
		reconciles:     r.Counters("coderhook_reconcile_total", "Runs of reconciling that this replica began, by how they ended.", "result"),
		changes:        r.Counters("coderhook_reconcile_changes_total", "What reconciling changed.", "what"),
		notReconciled:  r.Counter("coderhook_reconcile_failed_accounts_total", "Accounts that reconciling had to leave as they are: see the log."),
		lastReconciled: r.Gauge("coderhook_reconcile_last_success_timestamp_seconds", "When any replica last reconciled to the end, in Unix time; 0 when never, or before the ledger was asked."),
	}
	metrics.Zero(m.reconciles, "ok", "failed", "withheld")
	m.changed(Summary{})
	return m
}

// reconciled counts a run, however far it came.
func (m *Metrics) reconciled(sum Summary, err error) {
	result := "ok"
	switch {
	case errors.Is(err, ErrManyGone):
		result = "withheld"
	case err != nil:
		result = "failed"
	}
	m.reconciles.WithLabelValues(result).Inc()
	m.changed(sum)
}

// changed counts what was done.
func (m *Metrics) changed(sum Summary) {
	for what, n := range map[string]int{
		"off-boarded": sum.Offboarded, "user suspended": sum.Suspended, "user deleted": sum.Deleted,
		"workspace stopped": sum.Stopped, "user activated": sum.Activated, "orphan removed": sum.Orphans, "token deleted": sum.Tokens, "key replaced": sum.Withdrawn,
		"user not eligible": sum.Ineligible, "user eligible again": sum.Eligible, "key ended by a rule": sum.Ended,
	} {
		m.changes.WithLabelValues(what).Add(float64(n))
	}
	m.notReconciled.Add(float64(sum.Failed))
}

// reconciledAt takes what the ledger says: it knows of all replicas, and of the time before a restart.
func (m *Metrics) reconciledAt(finished time.Time) {
	if !finished.IsZero() {
		m.lastReconciled.Set(float64(finished.Unix()))
	}
}
