package hook

import (
	"time"

	"github.com/rs/zerolog"
)

// Reasons of mints that were not skipped.
const (
	reasonFound  = "key found" // it was there, or another request or replica made it
	reasonMade   = "key made"
	reasonKept   = "key kept" // Coder says that it lives longer than the ledger knew
	reasonShort  = "old key"  // which dies before the token, as Coder could give no other
	reasonNoKey  = "no key"
	reasonNoRoom = "no room" // in what Supabase Auth reads of an answer
)

// outcomeTooLarge: there is a key, but the answer would be too long with it.
const outcomeTooLarge = "too_large"

// record is what is told of one mint, in one line of the log and in the metrics.
// It is filled in on the mint's way.
type record struct {
	line    *zerolog.Event
	metrics *Metrics
	started time.Time
	outcome string                                // one of few: it is a metric's label
	reason  string                                // likewise
	staged  func(name string, took time.Duration) // nil, or for whom the stages are
}

func (s *Server) newRecord() *record {
	return &record{line: s.Log.Info(), metrics: s.Provisioner.Metrics, started: time.Now(), outcome: "failed", reason: "panic"}
}

// end writes it all down.
func (r *record) end() {
	took := time.Since(r.started)
	r.line.Str("outcome", r.outcome).Str("reason", r.reason).Dur("duration_ms", took).Msg("token mint")
	r.metrics.mint(r.outcome, r.reason, took)
}

// stage notes how long a part took that began then.
func (r *record) stage(name string, began time.Time) {
	took := time.Since(began)
	r.line.Dur(name+"_ms", took)
	if r.staged != nil {
		r.staged(name, took)
	}
	r.metrics.stage(name, began)
}

func (r *record) is(outcome, reason string) { r.outcome, r.reason = outcome, reason }
