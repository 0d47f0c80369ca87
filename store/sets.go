package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// Rules may give sessions of one user different keys. One of them is the profile's; the others stand in coderhook.keys, each
// under the set that names what it was made with. A key there is alive; one that is to end goes, and its row among the
// retired keys says until when it is kept in Coder. That row is there from the beginning: whatever ends all keys of a user
// ends this one, too, also a version that does not know of sets.

// SetKey is one of those keys.
type SetKey struct {
	Set         string
	Grant       string // what it was made with
	ID          string // its public part
	Secret      string // "" where it can't be read, or was not asked for
	Encryption  Encryption
	CoderUserID uuid.UUID
	Unseen      bool // no token has carried it
	ExpiresAt   time.Time
	Lifetime    time.Duration
	CheckedAt   time.Time
}

// String leaves the secret out.
func (k SetKey) String() string { return "key " + k.ID }

// GoString is String, for %#v.
func (k SetKey) GoString() string { return k.String() }

// setPurpose keeps an encrypted key from opening in the place of another set.
func setPurpose(set string) purpose { return purpose("set " + set) }

// In returns the account as a session sees it that is given the key of a set: it has that key instead of the profile's.
func (a Account) In(set string) Account {
	if set == "" {
		return a
	}
	a.Set, a.APIKey, a.Encryption, a.KeyID, a.KeyGrant = set, "", Unencrypted, "", ""
	a.KeyUnseen, a.KeyRefused, a.KeyLifetime, a.KeyExpiresAt, a.KeyCheckedAt = false, false, 0, time.Time{}, time.Time{}
	for _, k := range a.Sets {
		if k.Set == set && k.CoderUserID == a.CoderUserID { // another Coder user's is dead
			a.APIKey, a.Encryption, a.KeyID, a.KeyGrant = k.Secret, k.Encryption, k.ID, k.Grant
			a.KeyUnseen, a.KeyLifetime, a.KeyExpiresAt, a.KeyCheckedAt = k.Unseen, k.Lifetime, k.ExpiresAt, k.CheckedAt
		}
	}
	return a
}

// Holding returns the account as a session sees it that is given this key, and whether there is one.
func (a Account) Holding(secret string) (Account, bool) {
	for _, k := range a.Sets {
		if k.Secret == secret && secret != "" {
			a = a.In(k.Set)
			break
		}
	}
	return a, secret != "" && a.APIKey == secret
}

// setsSQL is a column of a look-up: the keys of the user in user_id.
const setsSQL = `(select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(k) order by k.key_set) from coderhook.keys as k where k.user_id = %s)`

// withSets is a look-up with them, in the same round trip.
func withSets(lookup string) string {
	return `select l.*, ` + fmt.Sprintf(setsSQL, "$1") + ` as sets from (` + lookup + `) as l`
}

// setRow is a row of coderhook.keys as Postgres writes it in JSON.
type setRow struct {
	Set         string     `json:"key_set"`
	Grant       string     `json:"key_grant"`
	ID          string     `json:"key_id"`
	Stored      string     `json:"api_key"`
	CoderUserID uuid.UUID  `json:"coder_user_id"`
	Unseen      bool       `json:"unseen"`
	ExpiresAt   time.Time  `json:"key_expires_at"`
	Lifetime    int64      `json:"key_lifetime_seconds"`
	CheckedAt   *time.Time `json:"key_checked_at"`
}

func setKeys(text []byte) (keys []SetKey, stored []string, _ error) {
	if len(text) == 0 {
		return nil, nil, nil
	}
	var rows []setRow
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, nil, fmt.Errorf("read keys: %w", err)
	}
	for _, row := range rows {
		k := SetKey{
			Set: row.Set, Grant: row.Grant, ID: row.ID, CoderUserID: row.CoderUserID, Unseen: row.Unseen, ExpiresAt: row.ExpiresAt,
			Lifetime: time.Duration(row.Lifetime) * time.Second,
		}
		if row.CheckedAt != nil {
			k.CheckedAt = *row.CheckedAt
		}
		keys, stored = append(keys, k), append(stored, row.Stored)
	}
	return keys, stored, nil
}

// addSets decrypts the keys and adds them to the account.
func (s *Store) addSets(ctx context.Context, a *Account, text []byte) (err error) {
	var stored []string
	if a.Sets, stored, err = setKeys(text); err != nil {
		return err
	}
	for i := range a.Sets {
		k := &a.Sets[i]
		if k.Secret, k.Encryption, err = s.decrypt(ctx, setPurpose(k.Set), a.UserID, stored[i]); err != nil {
			return err
		}
	}
	return nil
}

// LookupSets is [Store.Lookup] with the keys of all sets, in the same round trip.
func (s *Store) LookupSets(ctx context.Context, user uuid.UUID) (Account, error) {
	row, err := one[struct {
		accountRow
		Sets []byte
	}](ctx, s, s.sql.lookupSets, pgtype.UUID{Bytes: user, Valid: true})
	if err != nil {
		return Account{}, fmt.Errorf("look up account: %w", err)
	}
	a, err := s.decrypted(ctx, row.account(user, s.seals))
	if err == nil {
		err = s.addSets(ctx, &a, row.Sets)
	}
	return a, err
}

// LookupSet is [Store.Lookup] for who is given the key of that set, see [Account.In].
func (s *Store) LookupSet(ctx context.Context, user uuid.UUID, set string) (Account, error) {
	if set == "" {
		return s.Lookup(ctx, user)
	}
	a, err := s.LookupSets(ctx, user)
	return a.In(set), err
}

// LookupFactsSets is [Store.LookupFacts] with the keys of all sets.
func (s *Store) LookupFactsSets(ctx context.Context, user uuid.UUID, auth bool) (Account, UserFacts, error) {
	sql := s.sql.lookupColumnsSets
	if auth {
		sql = s.sql.lookupFactsSets
	}
	row, err := one[struct {
		factsRow
		Sets []byte
	}](ctx, s, sql, pgtype.UUID{Bytes: user, Valid: true})
	if err != nil {
		return Account{}, UserFacts{}, fmt.Errorf("look up account and facts: %w", factsFault(err))
	}
	a, err := s.decrypted(ctx, row.account(user, s.seals))
	if err == nil {
		err = s.addSets(ctx, &a, row.Sets)
	}
	return a, row.facts(user), err
}
