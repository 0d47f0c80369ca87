package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// AuthUser is what Supabase Auth says of a user.
type AuthUser struct {
	ID          uuid.UUID
	Exists      bool
	BannedUntil time.Time // zero when never banned; it may have passed
	DeletedAt   time.Time // of a soft delete; zero when there was none
	Departed    bool      // the deletion was seen: not a user whose sign-up is not committed yet
}

// Living reports whether the user may sign in: neither gone nor banned.
func (u AuthUser) Living(now time.Time) bool {
	return u.Exists && u.DeletedAt.IsZero() && !u.BannedUntil.After(now)
}

// Left reports whether the user is known to be gone or banned. Who does not exist may be one
// whose sign-up is not committed yet.
func (u AuthUser) Left(now time.Time) bool {
	return u.Exists && !u.Living(now) || !u.Exists && u.Departed
}

// OneAuthUser returns the user of an answer that is about one: not to be told of somebody does not mean that they are gone.
func OneAuthUser(found []AuthUser, err error) (AuthUser, error) {
	switch {
	case err != nil:
		return AuthUser{}, err
	case len(found) != 1:
		return AuthUser{}, fmt.Errorf("read auth users: asked for 1, told of %d", len(found))
	}
	return found[0], nil
}

// Text instead of uuid[]: without a prepared statement pgx cannot know the type.
const authUsersSQL = `
select s.id, s.present, s.banned_until, s.deleted_at,
       not s.present and exists (select from coderhook.departures d where d.user_id = s.id and d.what = 'deleted') as departed
  from coderhook.auth_users_state($1::text[]::uuid[]) s`

type authUserRow struct {
	ID                     uuid.UUID
	Present, Departed      bool
	BannedUntil, DeletedAt pgtype.Timestamptz
}

// AuthUsers returns the state of each user in ids, in no order. Where the
// database does not let us see, the error says what to grant.
func (s *Store) AuthUsers(ctx context.Context, ids []uuid.UUID) ([]AuthUser, error) {
	var users []AuthUser
	err := s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, authUsersSQL, uuid.UUIDs(ids).Strings())
		if err != nil {
			return err
		}
		users, err = pgx.CollectRows(rows, scanAuthUser)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read auth users: %w", authUsersFault(err))
	}
	return users, nil
}

func scanAuthUser(row pgx.CollectableRow) (AuthUser, error) {
	r, err := pgx.RowToStructByName[authUserRow](row)
	return AuthUser{
		ID:          r.ID,
		Exists:      r.Present,
		BannedUntil: instant(r.BannedUntil),
		DeletedAt:   instant(r.DeletedAt),
		Departed:    r.Departed,
	}, err
}

// instant puts "infinity" at the end of the calendar: a ban for ever must not
// look like none.
func instant(t pgtype.Timestamptz) time.Time {
	if t.InfinityModifier == pgtype.Infinity {
		return time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	}
	return t.Time
}

// authUsersFault adds what to grant: the function knows what its owner lacks,
// and otherwise it is we who may not call it.
func authUsersFault(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code != insufficientRights {
		return explain(err)
	}
	hint := pg.Hint
	if hint == "" {
		hint = "grant usage on schema coderhook, and execute on function coderhook.auth_users_state(uuid[]), to the role of the database URL"
	}
	return fmt.Errorf("%w: %s", err, hint)
}

const authUserIDsSQL = `select id from coderhook.auth_user_ids($1)`

// AuthUserIDs returns the users with that e-mail address, in any case: none, one, or several,
// as the users of single sign-on may share an address with others.
func (s *Store) AuthUserIDs(ctx context.Context, email string) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	err := s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, authUserIDsSQL, email)
		if err != nil {
			return err
		}
		ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find auth users: %w", authUsersFault(err))
	}
	return ids, nil
}

const addressConfirmedSQL = `select coderhook.auth_address_confirmed($1, $2) as confirmed`

// AddressConfirmed reports whether the user has that address and has shown that they read its mail. What a
// transaction has not committed yet does not count.
func (s *Store) AddressConfirmed(ctx context.Context, user uuid.UUID, address string) (bool, error) {
	row, err := one[struct{ Confirmed bool }](ctx, s, addressConfirmedSQL, user, address)
	if err != nil {
		return false, fmt.Errorf("look whether address is confirmed: %w", authUsersFault(err))
	}
	return row.Confirmed, nil
}

// ErrNoSessions says that the database does not tell which sessions are signed out: there is no auth.sessions, or who applied
// the migrations may not read it.
var ErrNoSessions = errors.New("auth.sessions can't be read")

// As text, see authUsersSQL.
const livingSessionsSQL = `select coderhook.auth_sessions_living($1::text[]::uuid[])::text[] as living`

// LivingSessions returns those of the sessions that are not signed out, in no order, or [ErrNoSessions].
func (s *Store) LivingSessions(ctx context.Context, ids []uuid.UUID) ([]uuid.UUID, error) {
	row, err := one[struct{ Living []string }](ctx, s, livingSessionsSQL, uuid.UUIDs(ids).Strings())
	if err == nil && row.Living == nil {
		err = ErrNoSessions
	}
	if err != nil {
		return nil, fmt.Errorf("read auth sessions: %w", authUsersFault(err))
	}
	living := make([]uuid.UUID, len(row.Living))
	for i, id := range row.Living {
		if living[i], err = uuid.Parse(id); err != nil {
			return nil, fmt.Errorf("read auth sessions: %w", err)
		}
	}
	return living, nil
}
