package serve

import (
	"context"
	"sync"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/coderclient"
	"coderhook/hook/keyring"
	"coderhook/hook/metrics"
	"coderhook/hook/reconcile"
	"coderhook/store"

	"github.com/rs/zerolog"
)

// upkeep returns what runs beside the requests.
func (s *server) upkeep() []func(context.Context) {
	reconciler := NewReconciler(s.Config, s.ring, s.database, s.coder, s.registry)
	follower := &urlFollower{database: s.database, log: s.Log}
	pruner := auditPruner{s.database, s.Config.Upkeep.AuditKept, s.Log}
	counter := accountsCounter{s.database, s.Config.Provisioning.Instance, s.Log}
	follow := func(context.Context) {}
	if s.rules != nil {
		follow = s.rules.Follow
	}
	return []func(context.Context){
		follow, s.watch.run, s.keeper.Run, s.keys.run, reconciler.Run, reconciler.Watch, reconciler.Scan, reconciler.Look, s.plain.run, follower.run, pruner.run, counter.run, s.watchGateway,
	}
}

// reconcilePause keeps a run over many accounts below eight calls of Coder a second or so.
const reconcilePause = 250 * time.Millisecond

// NewReconciler returns what compares ledger, Supabase and Coder, for the server and for the commands.
func NewReconciler(c config.Config, ring *keyring.Keyring, database *store.Store, coder *coderclient.Client, registry *metrics.Registry) *reconcile.Reconciler {
	r := keyring.NewReconciler(ring, database, coder, database, registry)
	r.Delete, r.Interval, r.FullInterval, r.Pause, r.Grace = c.Upkeep.Deletes, c.Upkeep.Interval, c.Upkeep.FullInterval, reconcilePause, c.Rules.Grace
	if c.Provisioning.OutOfClaims {
		r.Withdraw = ring.Provisioner.Withdraw
	}
	return r
}

// inBackground runs until ctx ends, or stop is called, which waits.
func inBackground(ctx context.Context, run ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, f := range run {
		running.Go(func() { f(ctx) })
	}
	return func() { cancel(); running.Wait() }
}

// pruneInterval is how often old rows are looked for. All replicas may do so.
const pruneInterval = time.Hour

// auditPruner deletes what is older than the trail is to be kept.
type auditPruner struct {
	database *store.Store
	keep     time.Duration
	log      zerolog.Logger
}

// run deletes until ctx ends.
func (p auditPruner) run(ctx context.Context) {
	ticker := time.NewTicker(pruneInterval)
	defer ticker.Stop()
	for {
		p.prune(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// prune goes on as long as there is a whole portion.
func (p auditPruner) prune(ctx context.Context) {
	for ctx.Err() == nil {
		deleted, err := p.database.PruneAudit(ctx, p.keep)
		if err != nil {
			p.log.Debug().Err(err).Msg("old rows of the audit trail not deleted")
			return
		}
		if deleted < store.PruneBatch {
			return
		}
	}
}

// countInterval is how often it is looked whether it is time to count.
const countInterval = 15 * time.Second

// accountsCounter counts the accounts of a large ledger, for the scrapes of all replicas.
type accountsCounter struct {
	database *store.Store
	replica  string
	log      zerolog.Logger
}

// run counts until ctx ends.
func (c accountsCounter) run(ctx context.Context) {
	ticker := time.NewTicker(countInterval)
	defer ticker.Stop()
	for {
		if err := c.database.TakeCensus(ctx, c.replica, time.Now()); err != nil && ctx.Err() == nil {
			c.log.Debug().Err(err).Msg("accounts not counted")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
