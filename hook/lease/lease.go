// Package lease holds a user's row, or a replica's turn, while work goes on.
//
// Both are rows in the database that run out by themselves, so that a holder who is killed blocks nobody for long.
// While the work goes on they are renewed; the work's context ends when somebody else has taken over.
package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// Ledger is where the rows of users are leased.
type Ledger interface {
	Claim(ctx context.Context, lease store.Lease, ttl time.Duration) error
	Extend(ctx context.Context, lease store.Lease, ttl time.Duration) error
	Release(ctx context.Context, lease store.Lease) error
}

// wayOut bounds what is done on the way out, when the work's own context may have ended.
const wayOut = 5 * time.Second

// Detach returns a context for what is done on the way out: it outlives ctx, but not for long.
func Detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), wayOut)
}

// New returns a lease of the user's row that no other holder has, in this process or another.
func New(instance string, user uuid.UUID) store.Lease {
	return store.Lease{UserID: user, Owner: instance + "/" + strings.ToLower(rand.Text()[:8])}
}

// Keep renews a claimed lease until stop is called, which gives it back. The context ends with
// [store.ErrLeaseLost] when somebody else took it: nothing that is done from then on would be written.
func Keep(ctx context.Context, ledger Ledger, held store.Lease, ttl time.Duration, log zerolog.Logger) (_ context.Context, stop func()) {
	working, end := keep(ctx, ttl/3, store.ErrLeaseLost, func(ctx context.Context) error { return ledger.Extend(ctx, held, ttl) })
	return working, func() {
		end()
		Release(ctx, ledger, held, log)
	}
}

// Release gives a lease back, also when ctx has ended.
func Release(ctx context.Context, ledger Ledger, held store.Lease, log zerolog.Logger) {
	ctx, cancel := Detach(ctx)
	defer cancel()
	if err := ledger.Release(ctx, held); err != nil {
		log.Warn().Err(err).Stringer("user_id", held.UserID).Msg("lease not released: it runs out by itself")
	}
}

// keep calls renew each interval until end is called, and ends the context when renew fails with lost.
// Any other failure may pass before the lease has run out.
func keep(ctx context.Context, interval time.Duration, lost error, renew func(context.Context) error) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if err := renew(ctx); errors.Is(err, lost) {
					cancel(err)
				}
			}
		}
	}()
	return ctx, func() { cancel(nil); <-ended }
}
