package account

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"coderhook/coderclient"

	"github.com/google/uuid"
)

// organizations remembers where new users go: "" is Coder's default organization. It is not locked while Coder is asked:
// when Coder hangs, all who ask must find out for themselves, and at the same time. Its zero value is ready.
type organizations struct {
	mu  sync.Mutex
	ids map[string]uuid.UUID
}

func (o *organizations) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ids = nil
}

func (o *organizations) get(name string) (uuid.UUID, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id, known := o.ids[name]
	return id, known
}

func (o *organizations) put(name string, id uuid.UUID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids == nil {
		o.ids = make(map[string]uuid.UUID)
	}
	o.ids[name] = id
}

func (m *Maker) organization(ctx context.Context, name string) (uuid.UUID, error) {
	if id, known := m.orgs.get(name); known {
		return id, nil
	}
	org, err := m.readOrganization(ctx, name)
	if errors.Is(err, coderclient.ErrNotFound) {
		return uuid.Nil, fmt.Errorf("%w: Coder has no organization %q", ErrConflict, name)
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("read organization: %w", err)
	}
	m.orgs.put(name, org.ID)
	return org.ID, nil
}

func (m *Maker) readOrganization(ctx context.Context, name string) (coderclient.Organization, error) {
	if name == "" {
		return m.Coder.DefaultOrganization(ctx)
	}
	return m.Coder.Organization(ctx, name)
}
