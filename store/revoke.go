package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

const revokeSQL = `
update coderhook.accounts
   set key_refused_at = coalesce(key_refused_at, $3::timestamptz),
       status = case when status in ('offboarded', 'orphaned') then status else 'pending' end,
       last_error = null, updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and lease_owner = $2`

// Revoke says, before it happens in Coder, that the account's keys are not to be handed out any
// more, and on whose word and why.
func (s *Store) Revoke(ctx context.Context, l Lease, now time.Time, actor, why string) error {
	return s.fencedEnding(ctx, "revoke", note{action: Revoked, detail: why, actor: actor}, revokeSQL, l, now)
}

// Progress is how far a task has come that goes on where it was broken off.
type Progress struct {
	StartedAt time.Time // zero: it has not begun, or has ended
	Reached   uuid.UUID // the last account that is done
}

const progressSQL = `select started_at, reached from coderhook.tasks where name = $1`

// Progress returns how far the task has come.
func (s *Store) Progress(ctx context.Context, t Task) (Progress, error) {
	rows, err := all[struct {
		StartedAt pgtype.Timestamptz
		Reached   pgtype.UUID
	}](ctx, s, progressSQL, t.Name)
	if err != nil {
		return Progress{}, fmt.Errorf("read progress of %s: %w", t.Name, err)
	}
	if len(rows) == 0 {
		return Progress{}, nil
	}
	return Progress{rows[0].StartedAt.Time, rows[0].Reached.Bytes}, nil
}

const saveProgressSQL = `
update coderhook.tasks set started_at = $3, reached = $4 where name = $1 and lease_owner = $2`

// SaveProgress writes down how far the task has come; a zero one ends it. It returns
// [ErrLeaseLost] where another worker has the task.
func (s *Store) SaveProgress(ctx context.Context, t Task, p Progress) error {
	reached := pgtype.UUID{Bytes: p.Reached, Valid: p.Reached != uuid.Nil}
	changed, err := s.exec(ctx, saveProgressSQL, t.Name, t.Owner, timeOrNull(p.StartedAt), reached)
	if err == nil && changed == 0 {
		err = ErrLeaseLost
	}
	if err != nil {
		return fmt.Errorf("save progress of %s: %w", t.Name, err)
	}
	return nil
}
