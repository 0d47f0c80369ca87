package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Retired is a key that was replaced. An access token may carry it as long as the field Until says.
type Retired struct {
	KeyID       string
	UserID      uuid.UUID
	CoderUserID uuid.UUID
	Until       time.Time
}

// A token that was minted just before carries the key for its whole life, for which a week
// stands, Supabase's own limit, where none was seen yet. The ten minutes are for clocks that
// differ and for answers that are on their way.
const retireKeySQL = `
insert into coderhook.retired_keys (key_id, user_id, coder_user_id, delete_after)
select key_id, user_id, coder_user_id, $4::timestamptz + pg_catalog.make_interval(secs => coalesce(token_seconds, 604800)::float8 + 600::float8)
  from coderhook.accounts
 where user_id = $1 and lease_owner = $2
   and key_id <> $3 and key_refused_at is null and coder_user_id is not null
   for update
    on conflict (key_id) do nothing`

var retireKeyNotedSQL = noted(retireKeySQL, 4)

// madeAt is from when on the key that k replaces is handed out no more.
func (k Key) madeAt() time.Time {
	if k.MadeAt.IsZero() {
		return time.Now()
	}
	return k.MadeAt
}

const retireSQL = `
insert into coderhook.retired_keys (key_id, user_id, coder_user_id, delete_after)
values ($1, $2, $3, $4) on conflict (key_id) do nothing`

// Retire adds a key that was handed out, but that came too late to be the account's.
func (s *Store) Retire(ctx context.Context, r Retired) error {
	if _, err := s.exec(ctx, retireSQL, r.KeyID, r.UserID, r.CoderUserID, r.Until); err != nil {
		return fmt.Errorf("retire key: %w", err)
	}
	return nil
}

const giveOutSQL = `
with own as (update coderhook.accounts set unseen_key_id = null where user_id = $1 and unseen_key_id = $2)
update coderhook.keys set unseen = false where user_id = $1 and key_id = $2`

// GiveOut says, before it happens, that a token will carry a key which none has carried so far. That the account has another
// key by now is no error: the one that it replaced lives on for as long as the token.
func (s *Store) GiveOut(ctx context.Context, userID uuid.UUID, keyID string) error {
	if _, err := s.exec(ctx, giveOutSQL, userID, keyID); err != nil {
		return fmt.Errorf("give key out: %w", err)
	}
	return nil
}

const retiredSQL = `
select key_id, user_id, coder_user_id, delete_after as until
  from coderhook.retired_keys where user_id = $1 order by delete_after`

// Retired returns the user's replaced keys, whether they can be deleted or not.
func (s *Store) Retired(ctx context.Context, userID uuid.UUID) ([]Retired, error) {
	retired, err := all[Retired](ctx, s, retiredSQL, userID)
	if err != nil {
		return nil, fmt.Errorf("read retired keys: %w", err)
	}
	return retired, nil
}

const forgetRetiredSQL = `delete from coderhook.retired_keys where key_id = $1`

// ForgetRetired says that the key is gone in Coder.
func (s *Store) ForgetRetired(ctx context.Context, keyID string) error {
	if _, err := s.exec(ctx, forgetRetiredSQL, keyID); err != nil {
		return fmt.Errorf("forget retired key: %w", err)
	}
	return nil
}

// all runs a query and scans every row by column name.
func all[T any](ctx context.Context, s *Store, sql string, args ...any) ([]T, error) {
	var found []T
	err := s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, pgx.RowToStructByName[T])
		return err
	})
	return found, explain(err)
}
