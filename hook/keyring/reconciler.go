package keyring

import (
	"coderhook/hook/metrics"
	"coderhook/hook/reconcile"
)

// NewReconciler returns a Reconciler that looks after what k has made.
func NewReconciler(k *Keyring, ledger reconcile.Ledger, coder reconcile.Coder, register reconcile.Register, reg *metrics.Registry) *reconcile.Reconciler {
	p := k.Provisioner
	r := &reconcile.Reconciler{
		Instance: p.Instance, LeaseTTL: p.LeaseTTL, Timeout: p.Timeout, Poll: p.Poll,
		PersistPatience: p.PersistPatience, LockPatience: p.LockPatience, Now: p.Now, Log: p.Log, Metrics: reconcile.NewMetrics(reg),
		Ledger: ledger, Coder: coder, Roles: p.Accounts.Roles, Names: p.Accounts.Names, Keys: p.Keys, Register: register, TryKey: k.Rotator.TryStored, MakeKey: k.makeKey,
	}
	if k.Rules != nil && !k.Rules.Audit {
		r.Standing = k.standing
	}
	return r
}
