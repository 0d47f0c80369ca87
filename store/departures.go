package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Departure is something that happened to a user and that is not dealt with yet. It proves
// nothing: whoever has the server's role can write one. What is true, auth.users says.
type Departure struct {
	ID     int64
	UserID uuid.UUID
	What   string // deleted; changed: banned, softly deleted, or no longer so; stop: workspaces of an off-boarded user
	At     time.Time
	Tries  int // that failed
}

// What is taken is hidden from the other replicas for a while. Nothing due is the usual case: one look at a small index.
const takeDeparturesSQL = `
with due as materialized (
  select id from coderhook.departures
   where done_at is null and next_try <= pg_catalog.clock_timestamp()
   order by next_try, id limit $1 for update skip locked)
update coderhook.departures as d
   set next_try = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2::double precision)
  from due where d.id = due.id
returning d.id, d.user_id, d.what, d.at, d.tries`

// TakeDepartures returns up to limit departures that are due, for this replica alone until hold is over.
func (s *Store) TakeDepartures(ctx context.Context, limit int, hold time.Duration) ([]Departure, error) {
	taken, err := all[Departure](ctx, s, takeDeparturesSQL, limit, hold.Seconds())
	if err != nil {
		return nil, fmt.Errorf("take departures: %w", err)
	}
	return taken, nil
}

// A deletion stays known for a while after it is done: see AuthUser.Departed.
const finishDeparturesSQL = `
with finished as (delete from coderhook.departures where id = any($1::bigint[]) and what <> 'deleted')
update coderhook.departures set done_at = pg_catalog.clock_timestamp() where id = any($1::bigint[]) and what = 'deleted'`

// FinishDepartures says that there is nothing left to do about them.
func (s *Store) FinishDepartures(ctx context.Context, ids ...int64) error {
	if _, err := s.exec(ctx, finishDeparturesSQL, ids); err != nil {
		return fmt.Errorf("finish departures: %w", err)
	}
	return nil
}

const postponeDepartureSQL = `
update coderhook.departures
   set next_try = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2::double precision), last_error = $3,
       tries = tries + case when $3::text is null then 0 else 1 end
 where id = $1`

// PostponeDeparture lets a departure be tried again later. A nil cause is no failure: somebody else is at it.
func (s *Store) PostponeDeparture(ctx context.Context, id int64, wait time.Duration, cause error) error {
	var text *string
	if cause != nil {
		capped := capped(cause.Error(), 500)
		text = &capped
	}
	if _, err := s.exec(ctx, postponeDepartureSQL, id, wait.Seconds(), text); err != nil {
		return fmt.Errorf("postpone departure: %w", err)
	}
	return nil
}

const stoppedSQL = `delete from coderhook.departures where user_id = $1 and what = 'stop'`

// Stopped says that the off-boarded user has no workspace that runs.
func (s *Store) Stopped(ctx context.Context, userID uuid.UUID) error {
	if _, err := s.exec(ctx, stoppedSQL, userID); err != nil {
		return fmt.Errorf("note stopped workspaces: %w", err)
	}
	return nil
}

// departureKept is how long a deletion is remembered after it was dealt with: longer than an event is
// accepted that asks for a token, so that none that was under way brings the user back.
const departureKept = time.Hour

const forgetDeparturesSQL = `delete from coderhook.departures where done_at < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1::double precision)`

// ForgetDepartures deletes what was dealt with long ago.
func (s *Store) ForgetDepartures(ctx context.Context) error {
	if _, err := s.exec(ctx, forgetDeparturesSQL, departureKept.Seconds()); err != nil {
		return fmt.Errorf("forget departures: %w", err)
	}
	return nil
}

const watchedSQL = `
select pg_catalog.count(distinct t.tgtype) = 2 as watched
  from pg_catalog.pg_trigger t
  join pg_catalog.pg_proc p on p.oid = t.tgfoid join pg_catalog.pg_namespace pn on pn.oid = p.pronamespace
  join pg_catalog.pg_class c on c.oid = t.tgrelid join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace
 where pn.nspname = 'coderhook' and p.proname = 'user_changed' and cn.nspname = 'auth' and c.relname = 'users' and t.tgenabled in ('O', 'A')`

// Watched reports whether triggers on auth.users write departures down.
func (s *Store) Watched(ctx context.Context) (bool, error) {
	row, err := one[struct{ Watched bool }](ctx, s, watchedSQL)
	if err != nil {
		return false, fmt.Errorf("look for triggers: %w", err)
	}
	return row.Watched, nil
}

const pendingDeparturesSQL = `
select pg_catalog.count(*) as pending, coalesce(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(at)), 0)::float8 as oldest
  from coderhook.departures where done_at is null`

// PendingDepartures counts those that are not dealt with, and tells how long the oldest has waited.
func (s *Store) PendingDepartures(ctx context.Context) (pending int64, oldest time.Duration, err error) {
	row, err := one[struct {
		Pending int64
		Oldest  float64 // seconds
	}](ctx, s, pendingDeparturesSQL)
	if err != nil {
		return 0, 0, fmt.Errorf("count departures: %w", err)
	}
	return row.Pending, time.Duration(row.Oldest * float64(time.Second)), nil
}
