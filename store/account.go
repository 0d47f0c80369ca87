package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Status says how an account stands.
type Status string

const (
	Pending    Status = "pending"    // being made, or to be tried again
	Active     Status = "active"     // has a key
	Conflict   Status = "conflict"   // an operator must decide
	Suspended  Status = "suspended"  // suspended in Coder
	Orphaned   Status = "orphaned"   // the Supabase user never came to exist
	Offboarded Status = "offboarded" // the Supabase user is gone or banned
)

// Account is all that the database knows of a Supabase user.
type Account struct {
	UserID uuid.UUID

	HasProfile bool   // the product's table has a row
	APIKey     string // as the profile says, decrypted; "" when null, without a row, or unreadable
	Encryption Encryption

	Known         bool      // the ledger has a row; what follows is zero without
	CoderUserID   uuid.UUID // zero when unknown, as are all below
	CoderUsername string
	Status        Status
	KeyID         string // the public part of the key that the ledger knows
	KeyUnseen     bool   // no token has carried that key, nor can one; false also where that is not known
	KeyExpiresAt  time.Time
	LeaseUntil    time.Time
	Leased        bool // the lease runs, by the database's clock
	LastError     string
	UpdatedAt     time.Time

	KeyLifetime   time.Duration // from making or use to expiry, as Coder says
	KeyCheckedAt  time.Time     // when Coder was last asked whether it takes the key
	KeyRefused    bool          // Coder does not take the key of KeyID, or it is another user's
	TokenLife     time.Duration // the longest that an access token of this user was seen to live
	Linked        bool          // the Coder user was not made by us
	SuspendedByUs bool          // in Coder, at off-boarding
	Seal          SealState     // of what the ledger says

	IneligibleSince time.Time // since when no rule gives the user a key; zero: one does, or there are no rules
	KeyGrant        string    // what the rule gave with which the key was made; "": what all get

	Set  string   // whose key this is seen with, see [Account.In]; "": the profile's
	Sets []SetKey // the other keys, where they were asked for
}

// String leaves the key out, so that an account can be logged.
func (a Account) String() string {
	return fmt.Sprintf("account %s (%s, coder user %q, key %q)", a.UserID, a.Status, a.CoderUsername, a.KeyID)
}

// GoString is String, for %#v.
func (a Account) GoString() string { return a.String() }

// Conflicted reports whether an operator has to decide first, so that Coder is not asked again at every mint.
func (a Account) Conflicted() bool { return a.Status == Conflict || a.Status == Suspended }

// The join on one row keeps both sides optional and both reads on their primary keys. It stands between a user and
// their sign-in, and so leaves to us what Postgres would do more slowly: nulls become zero values in accountRow.
const lookupSQL = `
select p.{id} is not null            as has_profile,
       p.{key}                       as api_key,
       a.user_id is not null         as known,
       a.coder_user_id, a.coder_username, a.status, a.key_id, a.unseen_key_id, a.key_expires_at, a.lease_until,
       a.lease_until > pg_catalog.clock_timestamp() as leased,
       a.last_error, a.updated_at,
       a.key_lifetime_seconds        as key_lifetime,
       a.key_checked_at, a.key_refused_at,
       a.token_seconds               as token_life,
       a.linked, a.suspended_by_us, a.seal, a.ineligible_since, a.key_grant
  from (select) as u
  left join {table} as p on p.{id} = $1
  left join coderhook.accounts as a on a.user_id = $1`

// accountRow has the fields in the order of lookupSQL's columns, by which they are scanned: to find them by their names
// takes as long as all else that is done with a row.
type accountRow struct {
	HasProfile                 bool
	APIKey                     pgtype.Text `db:"api_key"`
	Known                      bool
	CoderUserID                pgtype.UUID
	CoderUsername, Status      pgtype.Text
	KeyID, UnseenKeyID         pgtype.Text
	KeyExpiresAt, LeaseUntil   pgtype.Timestamptz
	Leased                     pgtype.Bool
	LastError                  pgtype.Text
	UpdatedAt                  pgtype.Timestamptz
	KeyLifetime                pgtype.Int8 // seconds
	KeyCheckedAt, KeyRefusedAt pgtype.Timestamptz
	TokenLife                  pgtype.Int8 // seconds
	Linked, SuspendedByUs      pgtype.Bool
	Seal                       []byte
	IneligibleSince            pgtype.Timestamptz
	KeyGrant                   pgtype.Text
}

func (row accountRow) account(userID uuid.UUID, seals seals) Account {
	return Account{
		UserID:        userID,
		HasProfile:    row.HasProfile,
		APIKey:        row.APIKey.String,
		Known:         row.Known,
		CoderUserID:   row.CoderUserID.Bytes,
		CoderUsername: row.CoderUsername.String,
		Status:        Status(row.Status.String),
		KeyID:         row.KeyID.String,
		KeyUnseen:     row.KeyID.Valid && row.UnseenKeyID == row.KeyID,
		KeyExpiresAt:  row.KeyExpiresAt.Time,
		LeaseUntil:    row.LeaseUntil.Time,
		Leased:        row.Leased.Bool,
		LastError:     row.LastError.String,
		UpdatedAt:     row.UpdatedAt.Time,
		KeyLifetime:   time.Duration(row.KeyLifetime.Int64) * time.Second,
		KeyCheckedAt:  row.KeyCheckedAt.Time,
		KeyRefused:    row.KeyRefusedAt.Valid,
		TokenLife:     time.Duration(row.TokenLife.Int64) * time.Second,
		Linked:        row.Linked.Bool,
		SuspendedByUs: row.SuspendedByUs.Bool,
		Seal:          seals.judge(decisive{row.CoderUserID, row.Linked, row.SuspendedByUs}, userID, row.Seal),

		IneligibleSince: row.IneligibleSince.Time,
		KeyGrant:        row.keyGrant(),
	}
}

// keyGrant stands behind the id of the key that it is of: a version without rules, which runs beside, leaves it as it is when it
// makes another key.
func (row accountRow) keyGrant() string {
	grant, ofKey := strings.CutPrefix(row.KeyGrant.String, row.KeyID.String+" ")
	if !ofKey {
		return ""
	}
	return grant
}

// Lookup returns what is known of a user, which may be nothing: a user without
// profile and ledger row is no error.
func (s *Store) Lookup(ctx context.Context, userID uuid.UUID) (Account, error) {
	row, err := oneInOrder[accountRow](ctx, s, s.sql.lookup, pgtype.UUID{Bytes: userID, Valid: true})
	if err != nil {
		return Account{}, fmt.Errorf("look up account: %w", err)
	}
	return s.decrypted(ctx, row.account(userID, s.seals))
}

const ownerSQL = `select user_id from coderhook.accounts where coder_user_id = $1`

// OwnerOf returns the Supabase user whose account a Coder user is, or [ErrNotFound].
func (s *Store) OwnerOf(ctx context.Context, coderUserID uuid.UUID) (uuid.UUID, error) {
	row, err := one[struct{ UserID uuid.UUID }](ctx, s, ownerSQL, coderUserID)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return uuid.UUID{}, fmt.Errorf("look up owner of coder user: %w", err)
	}
	return row.UserID, nil
}
