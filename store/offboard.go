package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const intendSuspensionSQL = `
update coderhook.accounts set suspended_by_us = true, seal = null
 where user_id = $1 and lease_owner = $2`

// IntendSuspension says, before it happens, that it is we who suspend the Coder user: killed
// in between, we must not take it for somebody else's doing.
func (s *Store) IntendSuspension(ctx context.Context, l Lease) error {
	return s.fencedDeciding(ctx, "intend suspension", note{}, intendSuspensionSQL, l)
}

// The workspaces are the caller's to stop. Should it fail or be killed, somebody is to come back to them. Who is off-boarded
// once more has left, so that it is no longer for a rule.
var offboardSQL = `
with changed as (
  update coderhook.accounts
     set status = 'offboarded', key_refused_at = coalesce(key_refused_at, $3), last_error = null, updated_at = pg_catalog.clock_timestamp(),
         ineligible_since = case when status <> 'offboarded' then ineligible_since end
   where user_id = $1 and lease_owner = $2
  returning user_id, coder_user_id, key_id, linked),
  workspaces as (
  insert into coderhook.departures (user_id, what, next_try)
  select user_id, 'stop', pg_catalog.clock_timestamp() + interval '2 seconds' from changed where coder_user_id is not null and not linked),
` + endingSets + noting(3) + `
select from changed`

// Offboard says that the user's access in Coder has ended. The key stays known as a dead one:
// a banned user still has it in the profile. Where the Coder user is one that we made and is still there, its
// workspaces are to be stopped: until [Store.Stopped], that is a departure.
func (s *Store) Offboard(ctx context.Context, l Lease, now time.Time) error {
	return s.fenced(ctx, "off-board", offboardSQL, l, s.noteArgs(note{action: OffBoarded}, now)...)
}

const reactivateSQL = `
update coderhook.accounts
   set status = 'pending', suspended_by_us = false, seal = null, ineligible_since = null, last_error = null, updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and lease_owner = $2`

// Reactivate says that an off-boarded user is back. The next mint makes a key.
func (s *Store) Reactivate(ctx context.Context, l Lease) error {
	return s.fencedDeciding(ctx, "reactivate", note{action: Back}, reactivateSQL, l)
}

const markIneligibleSQL = `
update coderhook.accounts set ineligible_since = coalesce(ineligible_since, $3::timestamptz)
 where user_id = $1 and lease_owner = $2`

// MarkIneligible says since when no rule gives the user a key.
func (s *Store) MarkIneligible(ctx context.Context, l Lease, now time.Time, why string) error {
	return s.fencedNoted(ctx, "mark ineligible", note{action: Ineligible, detail: why}, markIneligibleSQL, l, now)
}

const markEligibleSQL = `
update coderhook.accounts set ineligible_since = null
 where user_id = $1 and lease_owner = $2`

// MarkEligible says that a rule gives the user a key again.
func (s *Store) MarkEligible(ctx context.Context, l Lease) error {
	return s.fencedNoted(ctx, "mark eligible", note{action: Eligible}, markEligibleSQL, l)
}

const withdrawKeySQL = `
update coderhook.accounts
   set key_refused_at = case when key_id is not null then coalesce(key_refused_at, $3::timestamptz) end, status = 'pending',
       updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and lease_owner = $2`

// WithdrawKey says that the key of a user to whom no rule gives one is ended. It stays known as a dead one.
func (s *Store) WithdrawKey(ctx context.Context, l Lease, now time.Time, why string) error {
	return s.fencedNoted(ctx, "withdraw key", note{action: KeyWithdrawn, detail: why}, withdrawKeySQL, l, now)
}

const removeSQL = `delete from coderhook.accounts where user_id = $1 and lease_owner = $2`

// Remove deletes the account of a user who never came to exist, when nothing of it is left in Coder.
func (s *Store) Remove(ctx context.Context, l Lease) error {
	return s.fencedNoted(ctx, "remove account", note{action: Removed, detail: "its sign-up was rolled back"}, removeSQL, l)
}

// Link is an operator's decision that a Coder user is a Supabase user's.
type Link struct {
	CoderUser uuid.UUID
	Username  string
	From      uuid.UUID // the off-boarded account that has the Coder user now; zero for none
	Foreign   bool      // we did not make the Coder user
	Suspended bool      // by us, when From was off-boarded
	Actor     string    // who decided
}

const unlinkSQL = `
update coderhook.accounts
   set coder_user_id = null, coder_username = null, linked = false, suspended_by_us = false, seal = null,
       key_refused_at = case when key_id is not null then coalesce(key_refused_at, pg_catalog.clock_timestamp()) end,
       status = case status when 'active' then 'pending' else status end, updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and coder_user_id = $2
   and (lease_until is null or lease_until <= pg_catalog.clock_timestamp())`

const linkSQL = `
update coderhook.accounts
   set coder_user_id = $3, coder_username = $4, linked = $5, suspended_by_us = $7, seal = null,
       key_refused_at = case when key_id is not null then coalesce(key_refused_at, $6::timestamptz) end,
       status = 'pending', last_error = null, updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and lease_owner = $2`

const auditSQL = `
insert into coderhook.audit (actor, action, user_id, coder_user_id, detail) values ($1, 'link', $2, $3, $4)`

// Link gives the account the Coder user, takes it from the account that had it, and leaves an
// audit line: all of it or nothing. It returns [ErrLeaseLost], [ErrTaken] and [ErrSuperseded].
func (s *Store) Link(ctx context.Context, l Lease, k Link, now time.Time) error {
	err := s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		committing := false
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			err := s.link(ctx, tx, l, k, now)
			committing = err == nil
			return err
		})
		if err != nil && committing {
			return judged{err, final} // it may be done, and once more would be another line in the audit
		}
		return err
	})
	if sqlState(err) == uniqueViolation {
		err = ErrTaken
	}
	if err != nil {
		return fmt.Errorf("link: %w", explain(err))
	}
	return nil
}

func (s *Store) link(ctx context.Context, tx pgx.Tx, l Lease, k Link, now time.Time) error {
	detail := "Coder user " + k.Username
	if k.From != uuid.Nil {
		detail += ", until now of " + k.From.String()
		if err := s.decide(ctx, tx, ErrSuperseded, k.From, note{}, unlinkSQL, k.From, k.CoderUser); err != nil {
			return err
		}
	}
	err := s.decide(ctx, tx, ErrLeaseLost, l.UserID, note{}, linkSQL, l.UserID, l.Owner, k.CoderUser, k.Username, k.Foreign, now, k.Suspended)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, auditSQL, k.Actor, l.UserID, k.CoderUser, detail)
	return err
}
