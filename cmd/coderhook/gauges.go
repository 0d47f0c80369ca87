package main

import (
	"context"
	"time"

	"coderhook/coderclient"
	"coderhook/hook"
	"coderhook/store"
)

// scrapeTimeout bounds what a scrape may ask of the database.
const scrapeTimeout = 2 * time.Second

// describeDependencies adds what is read only when somebody asks for the metrics.
func describeDependencies(m *hook.Metrics, database *store.Store, coder *coderclient.Client) {
	m.Gauge("coderhook_build_info", "Always 1; the labels say what runs.",
		map[string]string{"version": version, "commit": builtFrom()}, func() float64 { return 1 })
	m.Gauge("coderhook_coder_available", "1 while Coder is asked, 0 while the circuit breaker is not closed.", nil,
		func() float64 {
			if coder.Available() {
				return 1
			}
			return 0
		})
	for name, value := range map[string]func(store.PoolStats) int{
		"in_use": func(s store.PoolStats) int { return s.InUse },
		"idle":   func(s store.PoolStats) int { return s.Idle },
		"max":    func(s store.PoolStats) int { return s.Max },
	} {
		m.Gauge("coderhook_database_connections", "Connections of the pool.", map[string]string{"state": name},
			func() float64 { return float64(value(database.PoolStats())) })
	}
	m.Gauge("coderhook_database_waits_total", "Times that somebody had to wait for a connection.", nil,
		func() float64 { return float64(database.PoolStats().Waits) })
	for _, status := range store.Statuses {
		m.Gauge("coderhook_accounts", "Accounts in the ledger, by status.", map[string]string{"status": string(status)},
			func() float64 { return countAccounts(database, status) })
	}
}

// countAccounts is negative when the database can't tell.
func countAccounts(database *store.Store, status store.Status) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	n, err := database.CountByStatus(ctx, status)
	if err != nil {
		return -1
	}
	return float64(n)
}
