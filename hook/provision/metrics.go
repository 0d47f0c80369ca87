package provision

import (
	"coderhook/hook/account"
	"coderhook/hook/metrics"

	"github.com/prometheus/client_golang/prometheus"
)

// counters counts what provisioning does.
type counters struct {
	inFlight     prometheus.Gauge
	waiting      prometheus.Gauge
	backlog      prometheus.Gauge
	unstored     prometheus.Gauge
	stored       *prometheus.CounterVec
	keysMade     *prometheus.CounterVec
	rolesRefused prometheus.Counter
}

func newCounters(r *metrics.Registry) *counters {
	m := &counters{
		inFlight:     r.Gauge("coderhook_provisioning_in_flight", "Users whose Coder user or key is being made."),
		waiting:      r.Gauge("coderhook_provisioning_waiting", "Users who wait for a slot or for another replica's lease."),
		backlog:      r.Gauge("coderhook_provisioning_backlog", "Users who got no key and are tried again in the background."),
		unstored:     r.Gauge("coderhook_pending_writes", "Keys that are handed out and not stored yet."),
		stored:       r.Counters("coderhook_writes_total", "Keys by what became of storing them.", "result"),
		keysMade:     r.Counters("coderhook_keys_made_total", "Coder tokens made for users: their first, the renewal of one that is alive, the replacement of one that is not, the withdrawal of one that tokens have carried and no longer do.", "reason"),
		rolesRefused: account.RolesRefused(r),
	}
	metrics.Zero(m.stored, writeStored, writeRolledBack, writeLeaseLost, writeRefused, writeGivenUp, writeUserGone)
	metrics.Zero(m.keysMade, madeFirst, madeRenewal, madeReplacement, madeWithdrawal)
	return m
}
