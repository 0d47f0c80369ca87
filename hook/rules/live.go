package rules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"coderhook/hook/metrics"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// followInterval is how often a policy file is looked at.
const followInterval = 5 * time.Second

// noRule is the label of decisions that no rule made.
const noRule = "(none)"

// Source is where a policy comes from.
type Source struct {
	Path    string   // of the file
	Columns []string // that profile has
	Audit   bool     // decisions are only told
	Chained bool     // the claims of tokens are what a chained hook makes of their user's
}

// Read reads the file now. Its error says what is wrong, and shows no value of the file.
func (s Source) Read() (*Policy, error) {
	text, err := s.text()
	if err != nil {
		return nil, err
	}
	return Parse(text, s.Columns)
}

func (s Source) text() ([]byte, error) {
	info, err := os.Stat(s.Path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return nil, pathless(err)
	}
	file, err := os.Open(s.Path)
	if err != nil {
		return nil, pathless(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	return text, pathless(err)
}

// pathless leaves the path out: the variable that names the file is told instead.
func pathless(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}

// Live is the policy of now. It is safe for concurrent use.
type Live struct {
	Source
	log     zerolog.Logger
	metrics *counters
	current atomic.Pointer[Policy]

	mu      sync.Mutex
	refused []byte // the file's text, if it has faults
	fault   error
}

// NewLive begins with a policy that was read from the source.
func NewLive(s Source, first *Policy, reg *metrics.Registry, log zerolog.Logger) *Live {
	l := &Live{Source: s, log: log, metrics: newCounters(reg)}
	l.current.Store(first)
	l.metrics.begin(nil, first)
	for _, warning := range first.Warnings() {
		log.Warn().Msg(warning)
	}
	return l
}

// Current is the policy by which the next mint is decided.
func (l *Live) Current() *Policy { return l.current.Load() }

// Follow reads the file again when it changes, until ctx ends.
func (l *Live) Follow(ctx context.Context) {
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.Reread()
		}
	}
}

// Reread takes the file as it is now. A faulty one is refused, and the last good one goes on.
func (l *Live) Reread() {
	text, err := l.text()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && bytes.Equal(text, l.Current().text) {
		l.fault, l.refused = nil, nil
		return
	}
	if err == nil && l.refused != nil && bytes.Equal(text, l.refused) { // nil: it could not be read
		return
	}
	var policy *Policy
	if err == nil {
		policy, err = Parse(text, l.Columns)
	}
	if err != nil {
		if l.fault == nil || l.fault.Error() != err.Error() {
			l.log.Error().Err(err).Msg("POLICY_FILE has faults: the last one that had none goes on")
		}
		l.fault, l.refused = err, text
		return
	}
	l.fault, l.refused = nil, nil
	l.metrics.begin(l.Current(), policy)
	l.current.Store(policy)
	l.log.Info().Int("rules", len(policy.Rules)).Msg("POLICY_FILE read again")
	for _, warning := range policy.Warnings() {
		l.log.Warn().Msg(warning)
	}
}

// Check says that the file has faults, and the policy is an older one.
func (l *Live) Check(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		return fmt.Errorf("POLICY_FILE: %w", l.fault)
	}
	return nil
}

// Decide is [Policy.Decide] for a session, counted. What could not be evaluated is told once.
func (l *Live) Decide(p *Policy, f Facts) Decision {
	d := p.Decide(f)
	rule, gives := d.Rule, "key"
	if rule == "" {
		rule = noRule
	}
	if !d.Key() {
		gives = "none"
	}
	l.metrics.decisions.WithLabelValues(rule, gives).Inc()
	for _, failure := range d.Failures {
		l.metrics.failures.WithLabelValues(failure.Rule.Name).Inc()
		if failure.Rule.failed.CompareAndSwap(false, true) {
			l.log.Warn().Err(failure.Err).Str("rule", failure.Rule.Name).
				Msg("a rule's condition could not be evaluated, so that it does not hold: use has(…) where a member may be missing; this is told once")
		}
	}
	return d
}

// counters have one label value for each rule of the file.
type counters struct {
	decisions *prometheus.CounterVec
	failures  *prometheus.CounterVec
}

func newCounters(r *metrics.Registry) *counters {
	return &counters{
		decisions: r.Counters("coderhook_policy_decisions_total", "What the rules of POLICY_FILE decided about sessions, by rule; with POLICY_MODE=audit, what they would have.", "rule", "gives"),
		failures:  r.Counters("coderhook_policy_failures_total", "Conditions of rules that could not be evaluated, and so did not hold.", "rule"),
	}
}

// begin forgets the rules that are not there any more, so that an ever-changing file makes no ever-growing metrics.
func (c *counters) begin(before, now *Policy) {
	known := map[string]bool{}
	for _, rule := range now.Rules {
		known[rule.Name] = true
		c.failures.WithLabelValues(rule.Name)
	}
	if before == nil {
		return
	}
	for _, rule := range before.Rules {
		if !known[rule.Name] {
			c.decisions.DeletePartialMatch(prometheus.Labels{"rule": rule.Name})
			c.failures.DeletePartialMatch(prometheus.Labels{"rule": rule.Name})
		}
	}
}
