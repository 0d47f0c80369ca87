package hook

import (
	"context"
	"errors"
	"time"

	"coderhook/store"
)

// cleanupTimeout bounds what is done on the way out, when the work's own context may have ended.
const cleanupTimeout = 5 * time.Second

// holdLease renews the lease until stop is called. The context ends when somebody else took it:
// nothing that is done from then on would be written.
func (p *Provisioner) holdLease(ctx context.Context, lease store.Lease) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(p.LeaseTTL / 3)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if err := p.Ledger.Extend(ctx, lease, p.LeaseTTL); errors.Is(err, store.ErrLeaseLost) {
					cancel(err)
				}
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
		p.releaseLease(lease)
	}
}

func (p *Provisioner) releaseLease(lease store.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.base), cleanupTimeout)
	defer cancel()
	if err := p.Ledger.Release(ctx, lease); err != nil {
		p.Log.Warn().Err(err).Stringer("user_id", lease.UserID).Msg("lease not released: it runs out by itself")
	}
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
