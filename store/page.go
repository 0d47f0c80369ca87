package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// Entry is a row of the ledger as reconciling walks through it; it has no part of the profile.
type Entry struct {
	Account
	CreatedAt    time.Time
	RetiredUntil time.Time // when the first of the replaced keys may be deleted; zero when there is none
	Stopping     bool      // workspaces of the off-boarded user are to be stopped, see [Store.Offboard]
	ChangedAt    time.Time // when the account last changed or was worked on, as far as is known
	LookedAt     time.Time // when Coder was last asked for its tokens, or the ledger learnt to know the account
}

const entriesSQL = `
select a.user_id, false as has_profile, null as api_key, true as known,
       a.coder_user_id, a.coder_username, a.status, a.key_id, a.unseen_key_id, a.key_expires_at, a.lease_until,
       a.lease_until > pg_catalog.clock_timestamp() as leased, a.last_error, a.updated_at,
       a.key_lifetime_seconds as key_lifetime, a.key_checked_at, a.key_refused_at, a.token_seconds as token_life,
       a.linked, a.suspended_by_us, a.seal, a.ineligible_since, a.key_grant,
       (select pg_catalog.min(r.delete_after) from coderhook.retired_keys r where r.user_id = a.user_id) as retired_until,
       exists (select from coderhook.departures d where d.user_id = a.user_id and d.what = 'stop') as stopping,
       greatest(a.updated_at, a.worked_at, a.lease_until) as changed_at, a.looked_at,
       a.created_at,
       (select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(k) - 'api_key' order by k.key_set) from coderhook.keys as k where k.user_id = a.user_id) as sets
  from coderhook.accounts as a
`

const pageSQL = entriesSQL + ` where a.user_id > $1 order by a.user_id limit $2`

type entryRow struct {
	UserID uuid.UUID
	accountRow
	CreatedAt, RetiredUntil pgtype.Timestamptz
	ChangedAt, LookedAt     pgtype.Timestamptz
	Stopping                bool
	Sets                    []byte
}

// Page returns up to limit entries of the ledger, in the order of their users, from behind after on.
func (s *Store) Page(ctx context.Context, after uuid.UUID, limit int) ([]Entry, error) {
	rows, err := all[entryRow](ctx, s, pageSQL, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read page of ledger: %w", err)
	}
	return s.entriesOf(rows)
}

const someEntriesSQL = entriesSQL + ` where a.user_id = any($1::text[]::uuid[]) order by a.user_id`

// Entries returns the entries of those users whom the ledger knows.
func (s *Store) Entries(ctx context.Context, users []uuid.UUID) ([]Entry, error) {
	rows, err := all[entryRow](ctx, s, someEntriesSQL, uuid.UUIDs(users).Strings())
	if err != nil {
		return nil, fmt.Errorf("read entries of ledger: %w", err)
	}
	return s.entriesOf(rows)
}

func (s *Store) entriesOf(rows []entryRow) (_ []Entry, err error) {
	entries := make([]Entry, len(rows))
	for i, row := range rows {
		entries[i] = Entry{
			Account: row.account(row.UserID, s.seals), CreatedAt: row.CreatedAt.Time, RetiredUntil: row.RetiredUntil.Time, Stopping: row.Stopping,
			ChangedAt: row.ChangedAt.Time, LookedAt: row.LookedAt.Time,
		}
		if entries[i].Sets, _, err = setKeys(row.Sets); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// Each account has a time of its own between half the interval and all of it, so that those that were looked at together
// are not all due together. The first part reads the index alone, as most are not due.
const unlookedSQL = `
with due as materialized (
  select l.user_id, l.looked_at from coderhook.accounts as l
   where l.coder_user_id is not null and l.status <> 'offboarded'
     and (l.looked_at, l.user_id) > ($1::timestamptz, $2::uuid)
     and l.looked_at < $3::timestamptz - pg_catalog.make_interval(secs => $4::float8 / 2::float8)
     and l.looked_at < $3::timestamptz - pg_catalog.make_interval(secs => $4::float8 * (0.75::float8 + pg_catalog.uuid_hash(l.user_id)::float8 / 8589934592::float8))
   order by l.looked_at, l.user_id limit $5)` + entriesSQL + ` join due on due.user_id = a.user_id order by due.looked_at, due.user_id`

// Unlooked returns up to limit entries that were not looked at for so long, between half the interval and all of it. The
// one whose look is the oldest comes first, from behind after on, whose zero value is the beginning.
func (s *Store) Unlooked(ctx context.Context, after Entry, now time.Time, interval time.Duration, limit int) ([]Entry, error) {
	rows, err := all[entryRow](ctx, s, unlookedSQL, after.LookedAt, after.UserID, now, interval.Seconds(), limit)
	if err != nil {
		return nil, fmt.Errorf("read entries of ledger: %w", err)
	}
	return s.entriesOf(rows)
}

const lookedSQL = `update coderhook.accounts set looked_at = $2 where user_id = $1`

// Looked says that all of the account's tokens in Coder have been looked at.
func (s *Store) Looked(ctx context.Context, userID uuid.UUID, at time.Time) error {
	if _, err := s.exec(ctx, lookedSQL, userID, at); err != nil {
		return fmt.Errorf("note look at account: %w", err)
	}
	return nil
}

const oldestLookSQL = `
select pg_catalog.min(looked_at) as looked_at from coderhook.accounts where coder_user_id is not null and status <> 'offboarded'`

// OldestLook tells when that account was looked at for which it is longest ago; zero where there is none.
func (s *Store) OldestLook(ctx context.Context) (time.Time, error) {
	row, err := one[struct{ LookedAt pgtype.Timestamptz }](ctx, s, oldestLookSQL)
	if err != nil {
		return time.Time{}, fmt.Errorf("read oldest look: %w", err)
	}
	return row.LookedAt.Time, nil
}

const livesSQL = `
select coalesce(pg_catalog.max(token_seconds), 0) as token_life,
       coalesce((select key_lifetime_seconds from coderhook.accounts
                  where key_lifetime_seconds is not null order by updated_at desc limit 1), 0) as key_life
  from coderhook.accounts`

// Lives tells how long access tokens live at most, and how long the key lives that was made
// last. Both are zero where nothing was seen yet.
func (s *Store) Lives(ctx context.Context) (token, key time.Duration, err error) {
	row, err := one[struct{ TokenLife, KeyLife int64 }](ctx, s, livesSQL)
	if err != nil {
		return 0, 0, fmt.Errorf("read lives: %w", err)
	}
	return time.Duration(row.TokenLife) * time.Second, time.Duration(row.KeyLife) * time.Second, nil
}
