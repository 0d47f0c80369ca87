package account

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"coderhook/coderclient"

	"github.com/google/uuid"
)

// organizationCache remembers where new users go. It is not locked while Coder is asked: when
// Coder hangs, all who ask must find out for themselves, and at the same time.
type organizationCache struct{ id atomic.Pointer[uuid.UUID] }

func (o *organizationCache) forget() { o.id.Store(nil) }

func (m *Maker) organization(ctx context.Context) (uuid.UUID, error) {
	if id := m.org.id.Load(); id != nil {
		return *id, nil
	}
	org, err := m.readOrganization(ctx)
	if errors.Is(err, coderclient.ErrNotFound) {
		return uuid.Nil, fmt.Errorf("%w: Coder has no organization %q", ErrConflict, m.Organization)
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("read organization: %w", err)
	}
	m.org.id.Store(&org.ID)
	return org.ID, nil
}

func (m *Maker) readOrganization(ctx context.Context) (coderclient.Organization, error) {
	if m.Organization == "" {
		return m.Coder.DefaultOrganization(ctx)
	}
	return m.Coder.Organization(ctx, m.Organization)
}
