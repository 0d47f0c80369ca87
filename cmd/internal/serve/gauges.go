package serve

import (
	"context"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/metrics"
	"coderhook/hook/owner"
	"coderhook/hook/rules"
	"coderhook/store"

	"github.com/prometheus/client_golang/prometheus"
)

// scrapeTimeout bounds what a scrape may ask of the database.
const scrapeTimeout = 2 * time.Second

// describeDependencies adds what is read only when somebody asks for the metrics.
func describeDependencies(m *metrics.Registry, database *store.Store, coder *coderclient.Client, version, commit string) {
	m.GaugeFunc("coderhook_build_info", "Always 1; the labels say what runs.",
		map[string]string{"version": version, "commit": commit}, func() float64 { return 1 })
	m.GaugeFunc("coderhook_coder_available", "1 while Coder is asked, 0 while the circuit breaker is not closed.", nil,
		func() float64 { return oneIf(coder.Available()) })
	describePool(m, database)
	m.GaugeFunc("coderhook_database_available", "1 when the database answered a ping for this scrape.", nil, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
		defer cancel()
		return oneIf(database.Ping(ctx) == nil)
	})
	m.Registry.MustRegister(ledgerCollector{database}, departuresCollector{database})
}

func describePool(m *metrics.Registry, database *store.Store) {
	for name, value := range map[string]func(store.PoolStats) int{
		"in_use": func(s store.PoolStats) int { return s.InUse },
		"idle":   func(s store.PoolStats) int { return s.Idle },
		"max":    func(s store.PoolStats) int { return s.Max },
		// Less than max after the server refused one, until it grants more.
		"granted": func(s store.PoolStats) int { return s.Granted },
	} {
		m.GaugeFunc("coderhook_database_connections", "Connections of the pool.", map[string]string{"state": name},
			func() float64 { return float64(value(database.PoolStats())) })
	}
	m.CounterFunc("coderhook_database_waits_total", "Times that somebody had to wait for a connection.", nil,
		func() float64 { return float64(database.PoolStats().Waits) })
	m.CounterFunc("coderhook_database_connections_refused_total", "Times that a statement got no new connection: too many clients, a wrong password, a database that is down.", nil,
		func() float64 { return float64(database.PoolStats().Refused) })
	m.CounterFunc("coderhook_database_pool_resets_total", "Times that all connections were replaced, as they knew roles, rights, settings or types that had changed.", nil,
		func() float64 { return float64(database.PoolStats().Resets) })
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// ledgerCollector counts accounts and keys, or reads the last count of a large ledger.
type ledgerCollector struct{ database *store.Store }

var (
	accountsDesc = prometheus.NewDesc("coderhook_accounts", "Accounts in the ledger, by status.", []string{"status"}, nil)
	keysDesc     = prometheus.NewDesc("coderhook_keys", "Accounts in the ledger by the state of their key, and keys beside the profiles; aging is the last third of its life.", []string{"state"}, nil)
	givenOutDesc = prometheus.NewDesc("coderhook_keys_given_out", "Keys that are alive and were in access tokens; with KEY_IN_CLAIMS=false these are still to be replaced.", nil, nil)
	countedDesc  = prometheus.NewDesc("coderhook_accounts_counted_timestamp_seconds", "When accounts and keys were counted, in Unix time: for this scrape, or, from 20,000 accounts on, now and then.", nil, nil)
	lookDesc     = prometheus.NewDesc("coderhook_reconcile_oldest_look_timestamp_seconds", "When that account's tokens in Coder were looked at for which it is longest ago, in Unix time; 0 where there is none.", nil, nil)
)

// Describe names the metrics.
func (ledgerCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- accountsDesc
	descs <- keysDesc
	descs <- givenOutDesc
	descs <- countedDesc
	descs <- lookDesc
}

// Collect leaves out what the database can't tell: no number is right then, and the other metrics
// are needed all the more.
func (l ledgerCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	census, err := l.database.Census(ctx, time.Now())
	if err != nil {
		return
	}
	for status, n := range census.Accounts {
		ch <- prometheus.MustNewConstMetric(accountsDesc, prometheus.GaugeValue, float64(n), string(status))
	}
	for state, n := range census.Keys {
		ch <- prometheus.MustNewConstMetric(keysDesc, prometheus.GaugeValue, float64(n), string(state))
	}
	ch <- prometheus.MustNewConstMetric(givenOutDesc, prometheus.GaugeValue, float64(census.GivenOut))
	ch <- prometheus.MustNewConstMetric(countedDesc, prometheus.GaugeValue, float64(census.CountedAt.Unix()))
	if oldest, err := l.database.OldestLook(ctx); err == nil {
		ch <- prometheus.MustNewConstMetric(lookDesc, prometheus.GaugeValue, unixOrZero(oldest))
	}
}

func unixOrZero(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}

// departuresCollector counts who left, or came back, and is not dealt with.
type departuresCollector struct{ database *store.Store }

var (
	departuresDesc = prometheus.NewDesc("coderhook_departures_pending", "Users who left or came back, and workspaces to be stopped, that are not dealt with.", nil, nil)
	oldestDesc     = prometheus.NewDesc("coderhook_departures_oldest_seconds", "How long the oldest of them has waited; 0 where there is none.", nil, nil)
)

// Describe names the metrics.
func (departuresCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- departuresDesc
	descs <- oldestDesc
}

// Collect leaves out what the database can't tell.
func (d departuresCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	pending, oldest, err := d.database.PendingDepartures(ctx)
	if err != nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(departuresDesc, prometheus.GaugeValue, float64(pending))
	ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, oldest.Seconds())
}

// describeOwnerToken lets an alert see the end coming.
func describeOwnerToken(m *metrics.Registry, keeper *owner.Keeper) {
	m.GaugeFunc("coderhook_owner_token_expires_timestamp_seconds", "When the owner's token ends, in Unix time; 0 before Coder was asked.", nil,
		func() float64 { return unixOrZero(keeper.ExpiresAt()) })
	m.GaugeFunc("coderhook_owner_token_usable", "0 when Coder does not take the owner's token, or it is about to end without being renewed.", nil,
		func() float64 { return oneIf(keeper.Check(context.Background()) == nil) })
}

// describeKeys lets an alert see keys that everybody can read.
func describeKeys(m *metrics.Registry, keys *keyWatch) {
	m.GaugeFunc("coderhook_keys_readable", "1 while everybody can read the keys of all users by the Data API; 0 also before that was judged.", nil,
		func() float64 { return oneIf(keys.readable()) })
}

// describeRules lets an alert see a policy file that is not taken.
func describeRules(m *metrics.Registry, live *rules.Live) {
	m.GaugeFunc("coderhook_policy_file_faulty", "1 while POLICY_FILE has faults, and the last one that had none goes on.", nil,
		func() float64 { return oneIf(live != nil && live.Check(context.Background()) != nil) })
}
