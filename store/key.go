package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Key is a Coder API key.
type Key struct {
	Secret    string // the whole key
	ID        string // its public part
	ExpiresAt time.Time
	Lifetime  time.Duration // as Coder says; zero: not known
	MadeAt    time.Time     // zero for a key that we did not just make
	Reason    string        // why it was made, for the audit trail
	Grant     string        // what it was made with; "": as all are
	Unseen    bool          // no token carries it, see [Store.GiveOut]
	Set       string        // for which it is, see [Account.In]; "": the profile's
}

// String leaves the secret out, so that a key can be logged.
func (k Key) String() string { return "key " + k.ID }

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// Local to the transaction, as a pooler demands. A sign-in may hold the row for
// seconds: better to come back than to queue behind it, where others would
// queue behind us.
//
// The other two end a transaction whose client has fallen silent: its lock would
// keep the user from signing in for as long as TCP takes to notice.
const lockTimeoutSQL = `
select pg_catalog.set_config('lock_timeout', '500ms', true),
       pg_catalog.set_config('statement_timeout', '5s', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '5s', true)`

// storeTimeout bounds one try to store a key.
const storeTimeout = 10 * time.Second

const updateProfileSQL = `update {table} set {key} = $2 where {id} = $1`

const readProfileSQL = `select {key} from {table} where {id} = $1`

const insertProfileSQL = `insert into {table} ({id}, {key}) values ($1, $2)`

// StoreKey makes key the user's: in the ledger and in the profile, or in
// neither; or, if it is of a set, in the ledger alone. It takes one transaction of about eight round trips and is not for the
// time before a sign-in is answered.
//
// The key that it replaces is retired, see [Store.Retired].
//
// It returns [ErrLeaseLost]; [ErrBusy] while the profile is locked or its row is
// being made; [ErrNoUser] when the profile's foreign key finds no user; and
// [ErrProfile] when another rule of the product's table is violated.
func (s *Store) StoreKey(ctx context.Context, l Lease, key Key) error {
	if err := s.writers.enter(ctx); err != nil {
		return fmt.Errorf("store key: %w", err)
	}
	defer s.writers.leave()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	store := func(ctx context.Context, conn *pgxpool.Conn) error { return s.storeKey(ctx, conn, l, key) }
	if key.Set != "" {
		store = func(ctx context.Context, conn *pgxpool.Conn) error { return s.storeSet(ctx, conn, l, key) }
	}
	err := s.again(ctx, store)
	if errors.Is(err, errNewProfile) {
		// The row came to be between our update and our insert.
		err = s.again(ctx, store)
		if errors.Is(err, errNewProfile) {
			err = fmt.Errorf("%w, or the user's row is there and can't be updated: a trigger, a rule or row level security keeps it", err)
		}
	}
	if err != nil {
		return fmt.Errorf("store key: %w", explain(err))
	}
	return nil
}

func (s *Store) storeKey(ctx context.Context, conn *pgxpool.Conn, l Lease, key Key) error {
	options := pgx.TxOptions{IsoLevel: pgx.ReadCommitted}
	return pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockTimeoutSQL); err != nil {
			return err
		}
		// First, because their row lock keeps the lease ours until the commit.
		retired := s.noteArgs(note{action: KeyRetired, detail: "replaced by " + key.ID}, l.UserID, l.Owner, key.ID, key.madeAt())
		if _, err := tx.Exec(ctx, retireKeyNotedSQL, retired...); err != nil {
			return err
		}
		args := key.recordArgs(l)
		tag, err := tx.Exec(ctx, noted(recordKeySQL, len(args)), s.noteArgs(note{action: KeyMade, detail: key.Reason}, args...)...)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ErrLeaseLost
		}
		if err := s.noteEncryptionKey(ctx, tx); err != nil {
			return err
		}
		return s.writeProfile(ctx, tx, l.UserID, s.encryption.encrypt(profileKey, l.UserID, key.Secret))
	})
}

// writeProfile updates the profile's key, or else inserts a profile. It does not
// use "on conflict", which needs a unique constraint that a custom table may lack.
func (s *Store) writeProfile(ctx context.Context, tx pgx.Tx, userID uuid.UUID, secret string) error {
	tag, err := tx.Exec(ctx, s.sql.updateProfile, userID, secret)
	if err != nil {
		return profileFault(err)
	}
	if tag.RowsAffected() > 0 {
		return s.readBack(ctx, tx, userID, secret)
	}
	_, err = tx.Exec(ctx, s.sql.insertProfile, userID, secret)
	switch {
	case err == nil:
		return s.readBack(ctx, tx, userID, secret)
	case sqlState(err) == foreignKeyViolation:
		return ErrNoUser
	case sqlState(err) == uniqueViolation:
		return fmt.Errorf("%w: %w", errNewProfile, profileFault(err))
	}
	return profileFault(err)
}

// readBack refuses to believe a write that succeeded: triggers before and after it, rules and
// policies of the product's decide what the row holds. A returning clause would not see them all.
func (s *Store) readBack(ctx context.Context, tx pgx.Tx, userID uuid.UUID, secret string) error {
	rows, err := tx.Query(ctx, s.sql.readProfile, userID)
	if err != nil {
		return profileFault(err)
	}
	held, err := pgx.CollectRows(rows, pgx.RowTo[pgtype.Text])
	switch {
	case err != nil:
		return profileFault(err)
	case len(held) == 0:
		return fmt.Errorf("%w: no row is there after the write: a trigger, a rule or row level security keeps it back", ErrProfile)
	case slices.ContainsFunc(held, func(key pgtype.Text) bool { return key.String != secret }):
		return fmt.Errorf("%w: the row holds something else after the write: a trigger or a rule changes the key", ErrProfile)
	}
	return nil
}
