package store

import (
	"context"
	"errors"
	"fmt"
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
	APIKey     string // as the profile says; "" when null or without a row

	Known         bool      // the ledger has a row; what follows is zero without
	CoderUserID   uuid.UUID // zero when unknown, as are all below
	CoderUsername string
	Status        Status
	KeyID         string // the public part of the key that the ledger knows
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
	RetiredUntil  time.Time     // when the first of the replaced keys may be deleted; zero when there is none
}

// String leaves the key out, so that an account can be logged.
func (a Account) String() string {
	return fmt.Sprintf("account %s (%s, coder user %q, key %q)", a.UserID, a.Status, a.CoderUsername, a.KeyID)
}

// GoString is String, for %#v.
func (a Account) GoString() string { return a.String() }

// The join on one row keeps both sides optional and both reads on their primary keys.
const lookupSQL = `
select p.{id} is not null            as has_profile,
       coalesce(p.{key}, '')         as api_key,
       a.user_id is not null         as known,
       a.coder_user_id               as coder_user_id,
       coalesce(a.coder_username,'') as coder_username,
       coalesce(a.status, '')        as status,
       coalesce(a.key_id, '')        as key_id,
       a.key_expires_at              as key_expires_at,
       a.lease_until                 as lease_until,
       coalesce(a.lease_until > clock_timestamp(), false) as leased,
       coalesce(a.last_error, '')    as last_error,
       a.updated_at                  as updated_at,
       coalesce(a.key_lifetime_seconds, 0)   as key_lifetime,
       a.key_checked_at                      as key_checked_at,
       a.key_refused_at is not null          as key_refused,
       coalesce(a.token_seconds, 0)          as token_life,
       coalesce(a.linked, false)             as linked,
       coalesce(a.suspended_by_us, false)    as suspended_by_us,
       (select min(r.delete_after) from coderhook.retired_keys r where r.user_id = u.id) as retired_until
  from (select $1::uuid as id) as u
  left join {table} as p on p.{id} = u.id
  left join coderhook.accounts as a on a.user_id = u.id`

type accountRow struct {
	HasProfile, Known, Leased           bool
	APIKey                              string `db:"api_key"`
	CoderUserID                         uuid.NullUUID
	CoderUsername, Status               string
	KeyID                               string
	KeyExpiresAt, LeaseUntil, UpdatedAt pgtype.Timestamptz
	LastError                           string
	KeyLifetime, TokenLife              int64 // seconds
	KeyCheckedAt, RetiredUntil          pgtype.Timestamptz
	KeyRefused, Linked, SuspendedByUs   bool
}

func (row accountRow) account(userID uuid.UUID) Account {
	return Account{
		UserID:        userID,
		HasProfile:    row.HasProfile,
		APIKey:        row.APIKey,
		Known:         row.Known,
		CoderUserID:   row.CoderUserID.UUID,
		CoderUsername: row.CoderUsername,
		Status:        Status(row.Status),
		KeyID:         row.KeyID,
		KeyExpiresAt:  row.KeyExpiresAt.Time,
		LeaseUntil:    row.LeaseUntil.Time,
		Leased:        row.Leased,
		LastError:     row.LastError,
		UpdatedAt:     row.UpdatedAt.Time,
		KeyLifetime:   time.Duration(row.KeyLifetime) * time.Second,
		KeyCheckedAt:  row.KeyCheckedAt.Time,
		KeyRefused:    row.KeyRefused,
		TokenLife:     time.Duration(row.TokenLife) * time.Second,
		Linked:        row.Linked,
		SuspendedByUs: row.SuspendedByUs,
		RetiredUntil:  row.RetiredUntil.Time,
	}
}

// Lookup returns what is known of a user, which may be nothing: a user without
// profile and ledger row is no error.
func (s *Store) Lookup(ctx context.Context, userID uuid.UUID) (Account, error) {
	row, err := one[accountRow](ctx, s, s.sql.lookup, userID)
	if err != nil {
		return Account{}, fmt.Errorf("look up account: %w", err)
	}
	return row.account(userID), nil
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
