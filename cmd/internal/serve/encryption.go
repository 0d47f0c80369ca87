package serve

import (
	"context"
	"sync/atomic"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/hook/metrics"
	"coderhook/store"

	"github.com/rs/zerolog"
)

// plainWatch counts the keys that are not encrypted. That is a walk through the product's whole table, and not for every scrape.
type plainWatch struct {
	count func(context.Context) (store.EncryptionCensus, error)
	every time.Duration
	log   zerolog.Logger

	plain atomic.Int64
}

// newPlainWatch returns nil where keys are not to be encrypted.
func newPlainWatch(database *store.Store, c config.Config, log zerolog.Logger) *plainWatch {
	if keys := c.Database.EncryptionKeys; len(keys) == 0 || keys[0] == store.WriteInPlain {
		return nil
	}
	return &plainWatch{count: database.EncryptionCensus, every: c.Upkeep.Interval, log: log}
}

// describePlainKeys lets an alert see them.
func describePlainKeys(m *metrics.Registry, w *plainWatch) {
	if w == nil {
		return
	}
	m.GaugeFunc("coderhook_plain_keys", "Keys in the profiles that are not encrypted, as counted every RECONCILE_INTERVAL.", nil,
		func() float64 { return float64(w.plain.Load()) })
}

// run counts until ctx ends.
func (w *plainWatch) run(ctx context.Context) {
	for w != nil {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.every):
		}
	}
}

func (w *plainWatch) look(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, judgeTimeout)
	defer cancel()
	n, err := w.count(asking)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		w.log.Debug().Err(err).Msg("keys that are not encrypted were not counted")
	default:
		if w.plain.Swap(int64(n.Plain)) != int64(n.Plain) && n.Plain > 0 {
			w.log.Warn().Int("plain_keys", n.Plain).Msg("not all keys are encrypted: coderhook rotate-keys does it")
		}
	}
}
