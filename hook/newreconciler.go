package hook

import "coderhook/hook/metrics"

// NewReconciler returns a Reconciler that looks after what k has made.
func NewReconciler(k *Keyring, ledger ReconcileLedger, coder ReconcileCoder, register Register, reg *metrics.Registry) *Reconciler {
	p := k.Provisioner
	return &Reconciler{
		Instance: p.Instance, LeaseTTL: p.LeaseTTL, Timeout: p.Timeout, Poll: p.Poll,
		PersistPatience: p.PersistPatience, LockPatience: p.LockPatience, Now: p.Now, Log: p.Log, Metrics: NewReconcileMetrics(reg),
		Ledger: ledger, Coder: coder, Roles: p.Accounts.Roles, Keys: p.Keys, Register: register, TryKey: k.Rotator.TryStored, MakeKey: p.MakeKey,
	}
}
