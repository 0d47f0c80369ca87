package provision

import (
	"context"
	"fmt"

	"coderhook/hook/account"
)

// refuseRoles ends what we gave to an account that has been given roles: there is no key for it.
func (p *Provisioner) refuseRoles(ctx context.Context, j *job, why *account.RolesError) error {
	if err := p.Keys.DeleteOurs(ctx, j.Known); err != nil {
		return fmt.Errorf("%w: %w, and our keys are not deleted: %w", account.ErrConflict, why, err)
	}
	p.metrics.rolesRefused.Inc()
	if err := p.Ledger.RefuseRoles(ctx, j.lease, p.Now(), why.Error()); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", account.ErrConflict, why)
}
