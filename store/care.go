package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What is learnt of a key after it was handed out is written without a lease: each statement
// says which key it is about, and changes nothing while somebody is at work on the account, or when its
// user's access has ended meanwhile.
const unattended = ` and (lease_until is null or lease_until <= pg_catalog.clock_timestamp()) and status <> 'offboarded'`

// ErrSuperseded says that the account has another key by now, or that somebody is at work on it.
var ErrSuperseded = errors.New("superseded")

// changing runs a statement that changes one row, or none when it comes too late.
func (s *Store) changing(ctx context.Context, what, sql string, args ...any) error {
	changed, err := s.exec(ctx, sql, args...)
	if err == nil && changed == 0 {
		err = ErrSuperseded
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

const beginCheckSQL = `
update coderhook.accounts set key_checked_at = $3
 where user_id = $1 and key_id = $2 and (key_checked_at is null or key_checked_at <= $4)`

// BeginCheck notes that the key is checked now. Of all replicas one may do so per interval:
// for the others, and for a key that is not the account's, it is [ErrSuperseded].
func (s *Store) BeginCheck(ctx context.Context, userID uuid.UUID, keyID string, now time.Time, interval time.Duration) error {
	args := []any{userID, keyID, now, now.Add(-interval)}
	err := s.changing(ctx, "begin check", beginCheckSQL, args...)
	if errors.Is(err, ErrSuperseded) {
		err = s.changing(ctx, "begin check", beginSetCheckSQL, args...)
	}
	return err
}

const refuseKeySQL = `
update coderhook.accounts
   set key_refused_at = $3, status = 'pending', last_error = $4, updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and key_id = $2` + unattended

// RefuseKey says that Coder no longer takes the account's key. The profile's stays known, so that it is
// not taken for a key from before the ledger, until [Store.StoreKey] replaces it.
func (s *Store) RefuseKey(ctx context.Context, userID uuid.UUID, keyID string, now time.Time, reason string) error {
	args := s.noteArgs(note{action: KeyDead, detail: reason}, userID, keyID, now, capped(reason, 500))
	err := s.changing(ctx, "refuse key", noted(refuseKeySQL, 4), args...)
	if errors.Is(err, ErrSuperseded) {
		args := s.noteArgs(note{action: KeyDead, detail: reason}, userID, keyID, now)
		err = s.changing(ctx, "refuse key", refuseSetSQL+noting(3)+"\nselect from changed", args...)
	}
	return err
}

const suspendSQL = `
update coderhook.accounts set status = 'suspended', last_error = $3, updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and key_id = $2` + unattended

// MarkSuspended says that the key's user is suspended in Coder.
func (s *Store) MarkSuspended(ctx context.Context, userID uuid.UUID, keyID, reason string) error {
	err := s.changing(ctx, "mark suspended", suspendSQL, userID, keyID, capped(reason, 500))
	if errors.Is(err, ErrSuperseded) {
		err = s.changing(ctx, "mark suspended", suspendBySetSQL, userID, keyID, capped(reason, 500))
	}
	return err
}

const renameSQL = `
update coderhook.accounts set coder_username = $3 where user_id = $1 and coder_user_id = $2`

// Rename writes down the Coder user's new name.
func (s *Store) Rename(ctx context.Context, userID, coderUserID uuid.UUID, username string) error {
	return s.changing(ctx, "rename coder user", renameSQL, userID, coderUserID, username)
}

const recordTokenLifeSQL = `
insert into coderhook.accounts as a (user_id, token_seconds) values ($1, $2)
on conflict (user_id) do update set token_seconds = greatest(a.token_seconds, excluded.token_seconds)`

// RecordTokenLife notes how long an access token lives that carries a key. The longest counts.
func (s *Store) RecordTokenLife(ctx context.Context, userID uuid.UUID, life time.Duration) error {
	if _, err := s.exec(ctx, recordTokenLifeSQL, userID, int64(life.Seconds())); err != nil {
		return fmt.Errorf("record token life: %w", err)
	}
	return nil
}

// Adoption is a key that the profile held before the ledger knew of it.
type Adoption struct {
	UserID    uuid.UUID
	Key       Key
	CoderUser uuid.UUID // zero for a key that is refused
	Username  string
	Linked    bool // nothing shows that we made the Coder user
}

// A row may be there, of a mint that failed, but not one with a key that is in use, nor one that says
// that this key was refused meanwhile, or revoked.
const adoptSQL = `
insert into coderhook.accounts as a (user_id, coder_user_id, coder_username, key_id, key_expires_at,
       key_lifetime_seconds, linked, status)
values ($1, $2, $3, $4, $5, $6, $7, 'active')
on conflict (user_id) do update
   set coder_user_id = excluded.coder_user_id, coder_username = excluded.coder_username, key_id = excluded.key_id, unseen_key_id = null,
       key_expires_at = excluded.key_expires_at, key_lifetime_seconds = excluded.key_lifetime_seconds,
       linked = case when a.coder_user_id = excluded.coder_user_id then a.linked else excluded.linked end,
       key_refused_at = null, status = 'active', last_error = null, updated_at = pg_catalog.clock_timestamp(), seal = null
 where (a.coder_user_id is null or a.coder_user_id = excluded.coder_user_id)
   and (a.key_refused_at is null or a.key_id is distinct from excluded.key_id)` + noOwnKeyRow + unattendedRow

// noOwnKeyRow keeps what was learnt of a key from before from overwriting one that was stored meanwhile.
const noOwnKeyRow = ` and (a.key_id is null or a.key_id = excluded.key_id or a.key_refused_at is not null and a.coder_user_id is null)`

const unattendedRow = ` and (a.lease_until is null or a.lease_until <= pg_catalog.clock_timestamp()) and a.status <> 'offboarded'`

// Adopt makes the profile's key one that the ledger knows. It returns [ErrTaken] when the
// Coder user is another account's, and [ErrSuperseded].
func (s *Store) Adopt(ctx context.Context, a Adoption) error {
	args := a.Key.recordArgs(Lease{})
	err := s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			n := note{action: KeyAdopted, detail: "it was in the profile"}
			err := s.decide(ctx, tx, ErrSuperseded, a.UserID, n,
				adoptSQL, a.UserID, a.CoderUser, a.Username, a.Key.ID, args[3], args[4], a.Linked)
			if err == nil { // it may be one that was replaced before
				_, err = tx.Exec(ctx, forgetRetiredSQL, a.Key.ID)
			}
			return err
		})
	})
	if sqlState(err) == uniqueViolation {
		err = ErrTaken
	}
	if err != nil {
		return fmt.Errorf("adopt key: %w", explain(err))
	}
	return nil
}

const refuseUnknownSQL = `
insert into coderhook.accounts as a (user_id, key_id, key_refused_at, last_error) values ($1, $2, $3, $4)
on conflict (user_id) do update
   set key_id = excluded.key_id, unseen_key_id = null, key_expires_at = null, key_lifetime_seconds = null,
       key_refused_at = excluded.key_refused_at, last_error = excluded.last_error, updated_at = pg_catalog.clock_timestamp()
 where true` + noOwnKeyRow + unattendedRow

// RefuseUnknownKey says that the key in the profile, which the ledger has not seen before, is
// not to be handed out again.
func (s *Store) RefuseUnknownKey(ctx context.Context, userID uuid.UUID, keyID string, now time.Time, reason string) error {
	args := s.noteArgs(note{action: KeyForeign, detail: reason}, userID, keyID, now, capped(reason, 500))
	return s.changing(ctx, "refuse unknown key", noted(refuseUnknownSQL, 4), args...)
}
