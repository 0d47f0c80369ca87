package hook

import (
	"time"

	"coderhook/hook/keyring"

	"github.com/rs/zerolog"
)

// Reasons of mints that were not skipped.
const (
	reasonNoKey  = "no key"
	reasonNoRoom = "no room" // in what Supabase Auth reads of an answer
	reasonChain  = "chained hook"
	reasonRule   = "rule" // of POLICY_FILE
)

// outcomeTooLarge: there is a key, but the answer would be too long with it.
const outcomeTooLarge = "too_large"

// outcomeRejected: the chained hook refuses the sign-in.
const outcomeRejected = "rejected"

// record is what is told of one mint, in one line of the log and in the metrics.
// It is filled in on the mint's way.
type record struct {
	line    *zerolog.Event
	metrics *mintMetrics
	started time.Time
	outcome string // one of few: it is a metric's label
	reason  string // likewise
}

func (s *Server) newRecord() record {
	return record{line: s.Log.Info(), metrics: s.mints, started: time.Now(), outcome: "failed", reason: "panic"}
}

// end writes it all down.
func (r *record) end() {
	took := time.Since(r.started)
	r.line.Str("outcome", r.outcome).Str("reason", r.reason).Dur("duration_ms", took).Msg("token mint")
	r.metrics.mint(r.outcome, r.reason, took)
}

// keyring notes what was found out of a key, and how long it took.
func (r *record) keyring(found keyring.Result) {
	r.line.Dur("lookup_ms", found.Lookup)
	if found.Provision > 0 {
		r.line.Dur("provision_ms", found.Provision)
	}
	if found.Renewal != nil {
		r.line.AnErr("renewal", found.Renewal)
	}
	if found.Rule != "" {
		r.line.Str("rule", found.Rule)
	}
	if found.Audit != "" {
		r.line.Str("rules_would", found.Audit)
	}
	r.reason = found.Reason
}

// is says what came of it.
func (r *record) is(outcome, reason string) { r.outcome, r.reason = outcome, reason }
