package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// Task is work that one replica at a time does. Its lease is a row, as a pooler keeps no
// session that could hold a lock.
type Task struct {
	Name  string
	Owner string // unique to the worker; required
}

const claimTaskSQL = `
insert into coderhook.tasks as t (name, lease_owner, lease_until)
values ($1, $2, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3))
on conflict (name) do update
   set lease_owner = excluded.lease_owner,
       lease_until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3)
 where t.lease_until is null
    or t.lease_until <= pg_catalog.clock_timestamp()
    or t.lease_owner = excluded.lease_owner
returning finished_at`

// ClaimTask takes the task for ttl, or keeps it for longer, and tells when it was last
// finished by anybody. It returns [ErrLeased] while another owner is at it.
func (s *Store) ClaimTask(ctx context.Context, t Task, ttl time.Duration) (finished time.Time, err error) {
	rows, err := all[struct{ FinishedAt pgtype.Timestamptz }](ctx, s, claimTaskSQL, t.Name, t.Owner, ttl.Seconds())
	if err == nil && len(rows) == 0 {
		err = ErrLeased
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("claim task %s: %w", t.Name, err)
	}
	return rows[0].FinishedAt.Time, nil
}

const releaseTaskSQL = `
update coderhook.tasks set lease_until = null, lease_owner = null, finished_at = coalesce($3, finished_at)
 where name = $1 and lease_owner = $2`

// ReleaseTask gives the task back. A zero time says that it was not finished. A lease that is
// lost already is no error.
func (s *Store) ReleaseTask(ctx context.Context, t Task, finished time.Time) error {
	if _, err := s.exec(ctx, releaseTaskSQL, t.Name, t.Owner, timeOrNull(finished)); err != nil {
		return fmt.Errorf("release task %s: %w", t.Name, err)
	}
	return nil
}
