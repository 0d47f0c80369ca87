package hook

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"coderhook/hook/policy"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts what the server does. Labels have a bounded set of values: no user, host or
// path that a client chooses ever becomes one.
type Metrics struct {
	Registry *prometheus.Registry

	mints        *prometheus.CounterVec
	mintTime     *prometheus.HistogramVec
	stageTime    *prometheus.HistogramVec
	inFlight     prometheus.Gauge
	waiting      prometheus.Gauge
	backlog      prometheus.Gauge
	unstored     prometheus.Gauge
	stored       *prometheus.CounterVec
	keysMade     *prometheus.CounterVec
	accountsMade prometheus.Counter
	checks       *prometheus.CounterVec
	planted      prometheus.Counter
	distrusted   prometheus.Counter
	rolesRefused prometheus.Counter
	coderCalls   *prometheus.CounterVec
	coderTime    *prometheus.HistogramVec

	reconciles     *prometheus.CounterVec
	changes        *prometheus.CounterVec
	notReconciled  prometheus.Counter
	lastReconciled prometheus.Gauge
}

// fast covers a SQL round trip and a hanging Coder.
var fast = []float64{.0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// NewMetrics returns metrics in a registry of their own.
func NewMetrics() *Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	make := promauto.With(registry)
	gauge := func(name, help string) prometheus.Gauge {
		return make.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return make.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	times := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return make.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: fast}, labels)
	}
	m := &Metrics{
		Registry:     registry,
		mints:        counters("coderhook_mints_total", "Token mints by outcome and reason.", "outcome", "reason"),
		mintTime:     times("coderhook_mint_duration_seconds", "Time from a mint's request to its answer.", "outcome"),
		stageTime:    times("coderhook_stage_duration_seconds", "Time of a mint's stages: lookup, provision.", "stage"),
		inFlight:     gauge("coderhook_provisioning_in_flight", "Users whose Coder user or key is being made."),
		waiting:      gauge("coderhook_provisioning_waiting", "Users who wait for a slot or for another replica's lease."),
		backlog:      gauge("coderhook_provisioning_backlog", "Users who got no key and are tried again in the background."),
		unstored:     gauge("coderhook_pending_writes", "Keys that are handed out and not stored yet."),
		stored:       counters("coderhook_writes_total", "Keys by what became of storing them.", "result"),
		keysMade:     counters("coderhook_keys_made_total", "Coder tokens made for users: their first, the renewal of one that is alive, the replacement of one that is not.", "reason"),
		accountsMade: make.NewCounter(prometheus.CounterOpts{Name: "coderhook_accounts_made_total", Help: "Coder users made for Supabase users."}),
		checks:       counters("coderhook_key_checks_total", "Keys that were tried in Coder, by what it said.", "result"),
		planted:      make.NewCounter(prometheus.CounterOpts{Name: "coderhook_planted_keys_total", Help: "Mints that found a key in the profile which is not the one that was stored for the user: it is not handed out."}),
		rolesRefused: make.NewCounter(prometheus.CounterOpts{Name: "coderhook_roles_refused_total", Help: "Times that a user got no key, as their Coder user has roles."}),
		distrusted:   make.NewCounter(prometheus.CounterOpts{Name: "coderhook_distrusted_rows_total", Help: "Mints that met a row of the ledger without a seal, or with one that does not fit: nothing is done on its word."}),
		coderCalls:   counters("coderhook_coder_requests_total", "Requests to Coder by endpoint and class of status, 0 for no answer.", "endpoint", "status"),
		coderTime:    times("coderhook_coder_request_duration_seconds", "Time of a request to Coder.", "endpoint"),

		reconciles:     counters("coderhook_reconcile_total", "Runs of reconciling that this replica began, by how they ended.", "result"),
		changes:        counters("coderhook_reconcile_changes_total", "What reconciling changed.", "what"),
		notReconciled:  make.NewCounter(prometheus.CounterOpts{Name: "coderhook_reconcile_failed_accounts_total", Help: "Accounts that reconciling had to leave as they are: see the log."}),
		lastReconciled: gauge("coderhook_reconcile_last_success_timestamp_seconds", "When any replica last reconciled to the end, in Unix time; 0 when never, or before the ledger was asked."),
	}
	m.start()
	return m
}

// start makes what will be counted visible from the beginning: a rate needs a zero to grow from.
func (m *Metrics) start() {
	for outcome, reasons := range map[string][]string{
		"injected":                {reasonFound, reasonMade, reasonKept, reasonShort},
		string(statusPending):     {reasonNoKey},
		string(statusUnavailable): {reasonNoKey},
		string(statusConflict):    {reasonNoKey},
		outcomeTooLarge:           {reasonNoRoom},
		"skipped":                 {policy.SkipAnonymous, policy.SkipNoEmail, policy.SkipOAuthClient, policy.SkipAAL, policy.SkipRole},
		"failed":                  {"panic"},
		"refused": {
			http.StatusText(http.StatusUnauthorized), http.StatusText(http.StatusBadRequest), http.StatusText(http.StatusRequestEntityTooLarge),
		},
	} {
		m.mintTime.WithLabelValues(outcome)
		for _, reason := range reasons {
			m.mints.WithLabelValues(outcome, reason)
		}
	}
	zero(m.stored, writeStored, writeRolledBack, writeLeaseLost, writeRefused, writeGivenUp, writeUserGone)
	zero(m.keysMade, madeFirst, madeRenewal, madeReplacement)
	zero(m.checks, checkOK, checkRefused, checkSuspended, checkFailed)
	zero(m.reconciles, "ok", "failed", "withheld")
	m.changed(Summary{})
	m.stageTime.WithLabelValues("lookup")
	m.stageTime.WithLabelValues("provision")
}

// zero shows a counter of one label with the values that it can have.
func zero(counter *prometheus.CounterVec, values ...string) {
	for _, value := range values {
		counter.WithLabelValues(value)
	}
}

// CoderCall counts one request to Coder; it is a coderclient.Observer.
func (m *Metrics) CoderCall(endpoint string, status int, took time.Duration) {
	class := "0"
	if status > 0 {
		class = strconv.Itoa(status/100) + "xx"
	}
	m.coderCalls.WithLabelValues(endpoint, class).Inc()
	m.coderTime.WithLabelValues(endpoint).Observe(took.Seconds())
}

// Gauge adds a value that is read when the metrics are.
func (m *Metrics) Gauge(name, help string, labels map[string]string, value func() float64) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
}

// Counter adds one that is read when the metrics are. It must never fall.
func (m *Metrics) Counter(name, help string, labels map[string]string, value func() float64) {
	m.Registry.MustRegister(prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, value))
}

func (m *Metrics) mint(outcome, reason string, took time.Duration) {
	m.mints.WithLabelValues(outcome, reason).Inc()
	m.mintTime.WithLabelValues(outcome).Observe(took.Seconds())
}

func (m *Metrics) stage(name string, since time.Time) {
	m.stageTime.WithLabelValues(name).Observe(time.Since(since).Seconds())
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

func (m *Metrics) changed(sum Summary) {
	for what, n := range map[string]int{
		"off-boarded": sum.Offboarded, "user suspended": sum.Suspended, "user deleted": sum.Deleted,
		"workspace stopped": sum.Stopped, "user activated": sum.Activated, "orphan removed": sum.Orphans, "token deleted": sum.Tokens,
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
