package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Lease is the right of one worker to change one account. It lasts until it is
// released or, after its time has run out, until somebody else claims it.
type Lease struct {
	UserID uuid.UUID
	Owner  string // unique to the worker; required
}

// The clock is read again in the update: the insert's value may be older than
// the wait for the row.
const claimSQL = `
insert into coderhook.accounts as a (user_id, lease_owner, lease_until, worked_at)
values ($1, $2, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3), pg_catalog.clock_timestamp())
on conflict (user_id) do update
   set lease_owner = excluded.lease_owner,
       lease_until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3),
       worked_at   = pg_catalog.clock_timestamp()
 where a.lease_until is null
    or a.lease_until <= pg_catalog.clock_timestamp()
    or a.lease_owner = excluded.lease_owner`

// Claim takes the lease for ttl, and makes the ledger's row if there is none.
// It returns [ErrLeased] while another owner's lease runs.
func (s *Store) Claim(ctx context.Context, l Lease, ttl time.Duration) error {
	if l.Owner == "" {
		return errors.New("claim lease: owner is empty")
	}
	changed, err := s.exec(ctx, claimSQL, l.UserID, l.Owner, ttl.Seconds())
	if err == nil && changed == 0 {
		err = ErrLeased
	}
	if err != nil {
		return fmt.Errorf("claim lease: %w", err)
	}
	return nil
}

const extendSQL = `
update coderhook.accounts
   set lease_until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3)
 where user_id = $1 and lease_owner = $2`

// Extend lets the lease end ttl from now, also when its time had run out but
// nobody had claimed it. It returns [ErrLeaseLost] when it is somebody else's.
func (s *Store) Extend(ctx context.Context, l Lease, ttl time.Duration) error {
	return s.fenced(ctx, "extend lease", extendSQL, l, ttl.Seconds())
}

const releaseSQL = `
update coderhook.accounts
   set lease_until = null, lease_owner = null, worked_at = pg_catalog.clock_timestamp()
 where user_id = $1 and lease_owner = $2`

// Release gives the lease back. A lease that is lost already is no error.
func (s *Store) Release(ctx context.Context, l Lease) error {
	err := s.fenced(ctx, "release lease", releaseSQL, l)
	if errors.Is(err, ErrLeaseLost) {
		return nil
	}
	return err
}

// fencedDeciding is fenced for statements that change what is sealed.
func (s *Store) fencedDeciding(ctx context.Context, what string, n note, sql string, l Lease, args ...any) error {
	if err := s.deciding(ctx, ErrLeaseLost, l.UserID, n, sql, append([]any{l.UserID, l.Owner}, args...)...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// fenced runs a statement whose $1 and $2 are the lease's user and owner, and
// which changes no row unless the lease is that owner's.
func (s *Store) fenced(ctx context.Context, what, sql string, l Lease, args ...any) error {
	changed, err := s.exec(ctx, sql, append([]any{l.UserID, l.Owner}, args...)...)
	if err == nil && changed == 0 {
		err = ErrLeaseLost
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
