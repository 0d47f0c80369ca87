package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// carriedSQL is for how long a token may carry a key of the account a that was handed out, see retireKeySQL.
const carriedSQL = `pg_catalog.make_interval(secs => coalesce(a.token_seconds, 604800)::float8 + 600::float8)`

const fenceSetSQL = `
update coderhook.accounts set status = 'active', last_error = null, updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and lease_owner = $2`

// The profile has a foreign key, and may not be written for a user who is not committed yet. Nor is this.
const userThereSQL = `select present from coderhook.auth_users_state(array[$1::uuid])`

const retireSetSQL = `
update coderhook.retired_keys
   set delete_after = least(delete_after, $4::timestamptz + (select ` + carriedSQL + ` from coderhook.accounts as a where a.user_id = $1))
 where key_id in (select k.key_id from coderhook.keys as k join coderhook.accounts as a on a.user_id = k.user_id
                   where k.user_id = $1 and a.lease_owner = $2 and k.key_id <> $3 and k.key_set = $5)`

const keepSetSQL = `
insert into coderhook.retired_keys as r (key_id, user_id, coder_user_id, delete_after)
select $3, a.user_id, a.coder_user_id, $4::timestamptz + ` + carriedSQL + `
  from coderhook.accounts as a where a.user_id = $1 and a.lease_owner = $2
    on conflict (key_id) do update set delete_after = greatest(r.delete_after, excluded.delete_after)`

const storeSetSQL = `
insert into coderhook.keys as k (user_id, key_set, key_grant, key_id, api_key, coder_user_id, unseen, key_expires_at, key_lifetime_seconds, key_checked_at)
select a.user_id, $4, $5, $3, $6, a.coder_user_id, $7, $8, $9, $10
  from coderhook.accounts as a where a.user_id = $1 and a.lease_owner = $2
    on conflict (user_id, key_set) do update
   set key_grant = excluded.key_grant, key_id = excluded.key_id, api_key = excluded.api_key, coder_user_id = excluded.coder_user_id, unseen = excluded.unseen,
       key_expires_at = excluded.key_expires_at, key_lifetime_seconds = excluded.key_lifetime_seconds, key_checked_at = excluded.key_checked_at`

// storeSet makes key the user's for its set. The one that it replaces lives on for the tokens that carry it.
func (s *Store) storeSet(ctx context.Context, conn *pgxpool.Conn, l Lease, key Key) error {
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if err := s.beginSet(ctx, tx, l, key); err != nil {
			return err
		}
		args := key.recordArgs(l)
		expires, lifetime, made := args[3], args[4], args[5]
		retired := s.noteArgs(note{action: KeyRetired, detail: "replaced by " + key.ID}, l.UserID, l.Owner, key.ID, key.madeAt(), key.Set)
		if _, err := tx.Exec(ctx, noted(retireSetSQL, 5), retired...); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, keepSetSQL, l.UserID, l.Owner, key.ID, expires); err != nil {
			return err
		}
		if err := s.noteEncryptionKey(ctx, tx); err != nil {
			return err
		}
		stored := s.noteArgs(note{action: KeyMade, detail: key.Reason}, l.UserID, l.Owner, key.ID, key.Set, key.Grant,
			s.encryption.encrypt(setPurpose(key.Set), l.UserID, key.Secret), key.Unseen, expires, lifetime, made)
		_, err := tx.Exec(ctx, noted(storeSetSQL, 10), stored...)
		return err
	})
}

// beginSet keeps the lease ours until the commit, as storeKey does.
func (s *Store) beginSet(ctx context.Context, tx pgx.Tx, l Lease, key Key) error {
	if _, err := tx.Exec(ctx, lockTimeoutSQL); err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, fenceSetSQL, l.UserID, l.Owner)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrLeaseLost
	}
	if err != nil {
		return err
	}
	var present bool
	if err := tx.QueryRow(ctx, userThereSQL, l.UserID).Scan(&present); err != nil {
		return authUsersFault(err)
	}
	if !present {
		return ErrNoUser
	}
	return nil
}

// What Coder says moves the end of the key, and so how long it is kept.
const recordSetSQL = `
with held as (update coderhook.accounts as a set status = 'active', last_error = null, updated_at = pg_catalog.clock_timestamp()
               where a.user_id = $1 and a.lease_owner = $2 returning a.user_id, ` + carriedSQL + ` as carried),
  kept as (update coderhook.retired_keys as r set delete_after = greatest(r.delete_after, $5::timestamptz + held.carried)
             from held where r.user_id = held.user_id and r.key_id = $3)
update coderhook.keys as k set key_expires_at = $5, key_lifetime_seconds = $6
  from held where k.user_id = held.user_id and k.key_set = $4 and k.key_id = $3`

// recordSet writes down what Coder says of the key of a set.
func (s *Store) recordSet(ctx context.Context, l Lease, key Key) error {
	args := key.recordArgs(l)
	return s.fenced(ctx, "record key", recordSetSQL, l, key.ID, key.Set, args[3], args[4])
}

const beginSetCheckSQL = `
update coderhook.keys set key_checked_at = $3
 where user_id = $1 and key_id = $2 and (key_checked_at is null or key_checked_at <= $4)`

// unattendedSet is unattended for a statement about coderhook.keys.
const unattendedSet = ` and exists (select from coderhook.accounts where user_id = $1` + unattended + `)`

const refuseSetSQL = `
with changed as (
 delete from coderhook.keys where user_id = $1 and key_id = $2` + unattendedSet + `
 returning user_id, coder_user_id, key_id),
 ended as (update coderhook.retired_keys as r set delete_after = least(r.delete_after, $3::timestamptz) from changed as c where r.key_id = c.key_id),
`

const suspendBySetSQL = `
update coderhook.accounts set status = 'suspended', last_error = $3, updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and exists (select from coderhook.keys as k where k.user_id = $1 and k.key_id = $2)` + unattended

// endingSets are the parts of a statement, with the time in $3, that end the keys of all sets of those whom it has changed.
const endingSets = `
 gone as (delete from coderhook.keys as k using changed where k.user_id = changed.user_id returning k.key_id),
 ended as (update coderhook.retired_keys as r set delete_after = least(r.delete_after, $3::timestamptz) from gone where r.key_id = gone.key_id),
`

// notedEnding is noted for a statement that ends the keys of all sets.
func notedEnding(sql string, n int) string {
	return `with changed as (` + sql + `
 returning user_id, coder_user_id, key_id),` + endingSets + noting(n) + `
select from changed`
}

const dropSetsSQL = `
with held as materialized (select user_id from coderhook.accounts where user_id = $1 and lease_owner = $2 for update),
 changed as (delete from coderhook.keys as k using held where k.user_id = held.user_id and k.key_set = any($4::text[])
             returning k.user_id, k.coder_user_id, k.key_id),
 ended as (update coderhook.retired_keys as r set delete_after = least(r.delete_after, $3::timestamptz) from changed as c where r.key_id = c.key_id),
`

// DropSets says that the keys of those sets are handed out no more, and end in Coder at that time.
func (s *Store) DropSets(ctx context.Context, l Lease, until time.Time, sets []string, why string) error {
	args := s.noteArgs(note{action: KeyRetired, detail: why}, l.UserID, l.Owner, until, sets)
	if _, err := s.exec(ctx, dropSetsSQL+noting(4)+"\nselect from changed", args...); err != nil {
		return fmt.Errorf("drop keys: %w", err)
	}
	return nil
}
