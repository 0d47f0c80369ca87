package hook

import (
	"context"
	"time"

	"coderhook/store"
)

// NewReconciler returns a Reconciler that looks after what p makes.
func NewReconciler(p *Provisioner, register Register) *Reconciler {
	return &Reconciler{
		Instance: p.Instance, LeaseTTL: p.LeaseTTL, Timeout: p.Timeout, Poll: p.Poll,
		PersistPatience: p.PersistPatience, LockPatience: p.LockPatience, Now: p.Now, Log: p.Log, Metrics: p.Metrics,
		Ledger: p.Ledger, Coder: p.Coder, Roles: p.Accounts.Roles, Keys: p.Keys, Register: register, TryKey: p.Rotator.TryStored, MakeKey: p.MakeKey,
	}
}

// MakeKey has a key made for a user whose token lives so long from now on.
func (p *Provisioner) MakeKey(ctx context.Context, known store.Account, life time.Duration) error {
	made := p.Provision(ctx, request{user: known.UserID, until: p.Now().Add(life), known: known})
	made.answered()
	return made.err
}
