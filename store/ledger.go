package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// A key is of one Coder user: with another user it is dead, but its id stays, so that
// the profile's key is not taken for one that the ledger has never seen.
const recordUserSQL = `
update coderhook.accounts
   set coder_user_id  = $3,
       coder_username = $4,
       key_expires_at = case when coder_user_id <> $3 and key_id is not null
                             then least(key_expires_at, pg_catalog.clock_timestamp()) else key_expires_at end,
       status         = case when coder_user_id = $3 and key_id is not null then 'active' else 'pending' end,
       linked          = linked and coalesce(coder_user_id = $3, false),
       suspended_by_us = suspended_by_us and coalesce(coder_user_id = $3, false),
       seal           = null,
       last_error     = null,
       updated_at     = pg_catalog.clock_timestamp()
 where user_id = $1 and lease_owner = $2`

// RecordUser writes down which Coder user is the account's, and whether it was made just now, and
// ends a conflict.
// It returns [ErrTaken] when that Coder user is another account's, and
// [ErrLeaseLost].
func (s *Store) RecordUser(ctx context.Context, l Lease, coderUserID uuid.UUID, username string, made bool) error {
	n := note{action: AccountFound, detail: "Coder user " + username}
	if made {
		n.action = AccountMade
	}
	err := s.fencedDeciding(ctx, "record coder user", n, recordUserSQL, l, coderUserID, username)
	if sqlState(err) == uniqueViolation {
		return fmt.Errorf("record coder user: %w", ErrTaken)
	}
	return err
}

const forgetUserSQL = `
update coderhook.accounts
   set coder_user_id = null, coder_username = null, linked = false, suspended_by_us = false, seal = null,
       key_expires_at = case when key_id is not null then least(key_expires_at, pg_catalog.clock_timestamp()) end,
       status = 'pending', updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and lease_owner = $2`

// ForgetUser clears the Coder user, who was deleted there. The user's key died at
// the same time; its id stays, so that the key which the profile still holds is
// known to be dead until [Store.StoreKey] replaces it.
func (s *Store) ForgetUser(ctx context.Context, l Lease) error {
	return s.fencedDeciding(ctx, "forget coder user", note{}, forgetUserSQL, l)
}

const recordFailureSQL = `
update coderhook.accounts
   set status = $3, last_error = $4, updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and lease_owner = $2`

// RecordFailure sets the status and why, cut to 500 characters. The caller
// keeps secrets out of the text.
func (s *Store) RecordFailure(ctx context.Context, l Lease, status Status, lastError string) error {
	return s.fenced(ctx, "record failure", recordFailureSQL, l, string(status), capped(lastError, 500))
}

// capped returns at most limit characters of text, without what Postgres refuses.
func capped(text string, limit int) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	runes := 0
	for i := range text {
		if runes == limit {
			return text[:i]
		}
		runes++
	}
	return text
}

const recordKeySQL = `
update coderhook.accounts
   set key_id = $3, key_expires_at = $4, key_lifetime_seconds = $5, key_refused_at = null,
       key_checked_at = coalesce($6, key_checked_at),
       unseen_key_id = case when $7::boolean then $3 else unseen_key_id end,
       key_grant = case when $8::text <> '' then $3 || ' ' || $8 end,
       status = 'active', last_error = null, updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and lease_owner = $2`

// RecordKey writes down what Coder says about the key that the profile already
// holds. A zero expiry or lifetime means that it is not known.
func (s *Store) RecordKey(ctx context.Context, l Lease, key Key) error {
	if key.Set != "" {
		return s.recordSet(ctx, l, key)
	}
	return s.fenced(ctx, "record key", recordKeySQL, l, key.recordArgs(l)[2:]...)
}

func (k Key) recordArgs(l Lease) []any {
	var lifetime *int64
	if seconds := int64(k.Lifetime.Seconds()); seconds > 0 {
		lifetime = &seconds
	}
	return []any{l.UserID, l.Owner, k.ID, timeOrNull(k.ExpiresAt), lifetime, timeOrNull(k.MadeAt), k.Unseen, k.Grant}
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

const refuseRolesSQL = `
update coderhook.accounts set key_refused_at = case when key_id is not null then coalesce(key_refused_at, $3::timestamptz) end
 where user_id = $1 and lease_owner = $2`

// RefuseRoles says that the account's keys, if it has any, must not be handed out again, as its Coder user has roles.
func (s *Store) RefuseRoles(ctx context.Context, l Lease, now time.Time, why string) error {
	return s.fencedEnding(ctx, "refuse roles", note{action: RoleRefused, detail: why}, refuseRolesSQL, l, now)
}

const orphanSQL = `
update coderhook.accounts
   set status = 'orphaned', key_id = null, key_expires_at = null, updated_at = pg_catalog.clock_timestamp()
 where user_id = $1 and lease_owner = $2`

// Orphan marks the account of a user who never came to exist. The Coder user
// stays known, for reconciling to take care of.
func (s *Store) Orphan(ctx context.Context, l Lease) error {
	return s.fenced(ctx, "mark orphaned", orphanSQL, l)
}
