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
}

const entriesSQL = `
select a.user_id, false as has_profile, null as api_key, true as known,
       a.coder_user_id, a.coder_username, a.status, a.key_id, a.unseen_key_id, a.key_expires_at, a.lease_until,
       a.lease_until > pg_catalog.clock_timestamp() as leased, a.last_error, a.updated_at,
       a.key_lifetime_seconds as key_lifetime, a.key_checked_at, a.key_refused_at, a.token_seconds as token_life,
       a.linked, a.suspended_by_us, a.seal, a.ineligible_since, a.key_grant,
       (select pg_catalog.min(r.delete_after) from coderhook.retired_keys r where r.user_id = a.user_id) as retired_until,
       exists (select from coderhook.departures d where d.user_id = a.user_id and d.what = 'stop') as stopping,
       a.created_at,
       (select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(k) - 'api_key' order by k.key_set) from coderhook.keys as k where k.user_id = a.user_id) as sets
  from coderhook.accounts as a
`

const pageSQL = entriesSQL + ` where a.user_id > $1 order by a.user_id limit $2`

type entryRow struct {
	UserID uuid.UUID
	accountRow
	CreatedAt, RetiredUntil pgtype.Timestamptz
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
		entries[i] = Entry{Account: row.account(row.UserID, s.seals), CreatedAt: row.CreatedAt.Time, RetiredUntil: row.RetiredUntil.Time, Stopping: row.Stopping}
		if entries[i].Sets, _, err = setKeys(row.Sets); err != nil {
			return nil, err
		}
	}
	return entries, nil
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
