package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	// ErrSealBroken says that the seal does not fit the row: nothing is done on its word.
	ErrSealBroken = errors.New("the ledger row was changed by somebody else")
	// ErrUnsealed says that the row is of a time without LEDGER_SECRET, or that somebody took its seal away.
	ErrUnsealed = errors.New("the ledger row has no seal: coderhook seal looks at it and gives it one")
)

// SealState is what the seal says of a row.
type SealState int

const (
	SealGood   SealState = iota // or there is no secret, or nothing to seal
	SealOld                     // good, but of a secret that is being replaced
	SealNone                    // see ErrUnsealed
	SealBroken                  // see ErrSealBroken
)

// Distrust is nil, or the reason why nothing may be done on the row's word.
func (a Account) Distrust() error {
	switch a.Seal {
	case SealNone:
		return ErrUnsealed
	case SealBroken:
		return ErrSealBroken
	}
	return nil
}

// seals are the secrets with which rows are sealed, the newest first. Without any, nothing is sealed or looked at.
type seals [][]byte

func newSeals(secrets []string) (s seals) {
	for _, secret := range secrets {
		s = append(s, []byte(secret))
	}
	return s
}

// decisive is the part of a row that decides whose Coder account is whose, and what may be done with it.
type decisive struct {
	CoderUserID           pgtype.UUID
	Linked, SuspendedByUs pgtype.Bool
}

// nothing: there is no account on whose word something could be done.
func (d decisive) nothing() bool {
	return !d.CoderUserID.Valid && !d.Linked.Bool && !d.SuspendedByUs.Bool
}

// sealWith covers parts of fixed lengths, so that no two rows look alike.
func (d decisive) sealWith(secret []byte, user uuid.UUID) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("coderhook.accounts 1\n"))
	mac.Write(user[:])
	mac.Write(d.CoderUserID.Bytes[:])
	mac.Write([]byte{bit(d.CoderUserID.Valid), bit(d.Linked.Bool), bit(d.SuspendedByUs.Bool)})
	return mac.Sum(nil)
}

func bit(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func (s seals) judge(d decisive, user uuid.UUID, seal []byte) SealState {
	if len(s) == 0 || d.nothing() {
		return SealGood
	}
	if len(seal) == 0 {
		return SealNone
	}
	for i, secret := range s {
		if hmac.Equal(d.sealWith(secret, user), seal) {
			return min(SealState(i), SealOld)
		}
	}
	return SealBroken
}

const sealedSQL = `select coder_user_id, linked, suspended_by_us, seal from coderhook.accounts where user_id = $1 for update`

const sealSQL = `update coderhook.accounts set seal = $2 where user_id = $1`

// deciding runs a statement that changes the decisive part of one row, or returns none when there was no such row.
// The statement takes the seal away; here the row is sealed again, if the seal was good before. A note without an action
// leaves no row in the audit trail.
func (s *Store) deciding(ctx context.Context, none error, user uuid.UUID, n note, sql string, args ...any) error {
	if len(s.seals) == 0 {
		sql, args = s.returning(n, sql, args)
		changed, err := s.exec(ctx, sql, args...)
		if err == nil && changed == 0 {
			return none
		}
		return err
	}
	return explain(s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return s.decide(ctx, tx, none, user, n, sql, args...) })
	}))
}

// returning makes the statement return the decisive part, and leave an audit row.
func (s *Store) returning(n note, sql string, args []any) (string, []any) {
	const part = "coder_user_id, linked, suspended_by_us"
	if n.action == "" {
		return sql + "\nreturning " + part, args
	}
	sql = "with changed as (" + sql + "\n returning user_id, key_id, " + part + "),\n" + noting(len(args)) + "\nselect " + part + " from changed"
	return sql, s.noteArgs(n, args...)
}

// decide is deciding within a transaction.
func (s *Store) decide(ctx context.Context, tx pgx.Tx, none error, user uuid.UUID, n note, sql string, args ...any) error {
	if err := s.checkSeal(ctx, tx, user); err != nil {
		return err
	}
	sql, args = s.returning(n, sql, args)
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	d, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[decisive])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return none
	case err != nil:
		return err
	case len(s.seals) == 0 || d.nothing():
		return nil
	}
	_, err = tx.Exec(ctx, sealSQL, user, d.sealWith(s.seals[0], user))
	return err
}

// checkSeal keeps the row as it is until the end of the transaction. A row that is not there yet is no fault.
func (s *Store) checkSeal(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	if len(s.seals) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, sealedSQL, user)
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[struct {
		decisive
		Seal []byte
	}])
	if err != nil || len(found) == 0 {
		return err
	}
	return Account{Seal: s.seals.judge(found[0].decisive, user, found[0].Seal)}.Distrust()
}

const resealSQL = `
update coderhook.accounts set seal = $2
 where user_id = $1 and coder_user_id is not distinct from $3 and linked = $4 and suspended_by_us = $5`

// Seal seals the row as it was looked at, on somebody's word. It returns [ErrSuperseded] when the row is another by now.
func (s *Store) Seal(ctx context.Context, a Account) error {
	if len(s.seals) == 0 {
		return errors.New("seal ledger row: there is no secret")
	}
	d := a.decisive()
	return s.changing(ctx, "seal ledger row", resealSQL, a.UserID, d.sealWith(s.seals[0], a.UserID), d.CoderUserID, a.Linked, a.SuspendedByUs)
}

func (a Account) decisive() decisive {
	return decisive{
		CoderUserID: pgtype.UUID{Bytes: a.CoderUserID, Valid: a.CoderUserID != uuid.Nil},
		Linked:      pgtype.Bool{Bool: a.Linked, Valid: true}, SuspendedByUs: pgtype.Bool{Bool: a.SuspendedByUs, Valid: true},
	}
}

// minSealSecret is in bytes: less can be guessed by whoever reads a row and its seal.
const minSealSecret = 32

// CheckSealSecret says what is wrong with one of the ledger's secrets.
func CheckSealSecret(secret string) error {
	switch {
	case secret == "":
		return errors.New("is empty")
	case len(secret) < minSealSecret:
		return fmt.Errorf("has %d characters; at least %d random ones are needed", len(secret), minSealSecret)
	}
	return nil
}

// ErrSecretMissing says that the ledger is sealed, and that this store has no secret: it would take the seals away from
// the rows that it changes.
var ErrSecretMissing = errors.New("the ledger is sealed, and LEDGER_SECRET is not set: set it to what the other replicas have")

const sealedAnySQL = `select exists (select from coderhook.accounts where seal is not null) as sealed`

// CheckSecrets returns [ErrSecretMissing] where it is so.
func (s *Store) CheckSecrets(ctx context.Context) error {
	if len(s.seals) > 0 {
		return nil
	}
	row, err := one[struct{ Sealed bool }](ctx, s, sealedAnySQL)
	if err == nil && row.Sealed {
		err = ErrSecretMissing
	}
	if err != nil {
		return fmt.Errorf("look at seals: %w", err)
	}
	return nil
}
