package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// UserFacts is what rules may look at of a user.
type UserFacts struct {
	UserID         uuid.UUID
	Exists         bool      // in auth.users, as far as is committed
	ConfirmedEmail string    // in lower case; "" while it is not confirmed
	Created        time.Time // the user
	Claims         []byte    // JSON: those that all tokens of the user have in common; none of a user who is not there
	Profile        []byte    // JSON: the columns of [Config.PolicyColumns], null without a row
}

// The part that has a parameter of its own stands in a lateral join, so that what is not asked for costs nothing.
const lookupFactsSQL = `
select l.*, f.present, f.confirmed_email, f.created, {columns} as profile
  from (` + lookupSQL + `) as l
  left join {table} as p on p.{id} = $1
  cross join coderhook.auth_user_facts(array[$1::uuid]) as f`

const lookupColumnsSQL = `
select l.*, null::boolean as present, null::text as confirmed_email, null::timestamptz as created, {columns} as profile
  from (` + lookupSQL + `) as l
  left join {table} as p on p.{id} = $1`

// factsRow has the fields in the order of the columns, as accountRow has.
type factsRow struct {
	accountRow
	Present        pgtype.Bool
	ConfirmedEmail pgtype.Text
	Created        pgtype.Timestamptz
	Profile        []byte
}

func (row factsRow) facts(user uuid.UUID) UserFacts {
	return UserFacts{
		UserID: user, Exists: row.Present.Bool, ConfirmedEmail: row.ConfirmedEmail.String, Created: row.Created.Time, Profile: row.Profile,
	}
}

// LookupFacts is [Store.Lookup] with what rules look at, in the same round trip: the profile's columns, and, if asked
// for, what auth.users says. The claims are left out: whoever has a token has them.
func (s *Store) LookupFacts(ctx context.Context, user uuid.UUID, auth bool) (Account, UserFacts, error) {
	sql := s.sql.lookupColumns
	if auth {
		sql = s.sql.lookupFacts
	}
	row, err := oneInOrder[factsRow](ctx, s, sql, pgtype.UUID{Bytes: user, Valid: true})
	if err != nil {
		return Account{}, UserFacts{}, fmt.Errorf("look up account and facts: %w", factsFault(err))
	}
	return row.account(user, s.seals), row.facts(user), nil
}

// factsFault adds what to do about columns that can't be read. What the functions' owner lacks, their hint says.
func factsFault(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if ok && pg.Hint == "" && (pg.Code == insufficientRights || pg.Code == undefinedColumn) {
		return fmt.Errorf("%w: see that the columns of PROFILES_POLICY_COLUMNS are there, and run coderhook migrate with that variable set", err)
	}
	return authUsersFault(err)
}

const userFactsSQL = `
select f.id as user_id, f.present, f.confirmed_email, f.created, f.claims, {columns} as profile
  from coderhook.auth_user_facts($1::text[]::uuid[]) as f
  left join {table} as p on p.{id} = f.id`

// UserFacts returns what rules look at of each user in ids, in no order.
func (s *Store) UserFacts(ctx context.Context, ids []uuid.UUID) ([]UserFacts, error) {
	rows, err := all[struct {
		UserID         uuid.UUID
		Present        bool
		ConfirmedEmail pgtype.Text
		Created        pgtype.Timestamptz
		Claims         []byte
		Profile        []byte
	}](ctx, s, s.sql.userFacts, uuid.UUIDs(ids).Strings())
	if err != nil {
		return nil, fmt.Errorf("read facts of users: %w", factsFault(err))
	}
	facts := make([]UserFacts, len(rows))
	for i, row := range rows {
		facts[i] = UserFacts{row.UserID, row.Present, row.ConfirmedEmail.String, row.Created.Time, row.Claims, row.Profile}
	}
	return facts, nil
}

const livingUsersSQL = `select u.id as user_id from coderhook.auth_living_users($1, $2) as u (id)`

// LivingUsers returns up to limit users of auth.users who may sign in, in the order of their ids, from behind after on.
func (s *Store) LivingUsers(ctx context.Context, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	rows, err := all[struct{ UserID uuid.UUID }](ctx, s, livingUsersSQL, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", authUsersFault(err))
	}
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		ids[i] = row.UserID
	}
	return ids, nil
}
