package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// LetIn allows the role to log in, with a new password, and returns its URL of the database.
func LetIn(ctx context.Context, adminURL, role string) (string, error) {
	u, err := url.Parse(adminURL)
	if err != nil {
		return "", errors.New("let role in: not a URL")
	}
	password := rand.Text()
	u.User = url.UserPassword(role, password)
	// Base32 needs no quoting.
	sql := fmt.Sprintf("alter role %s login password '%s'", pgx.Identifier{role}.Sanitize(), password)
	if err := execute(ctx, adminURL, sql); err != nil {
		return "", fmt.Errorf("let role %s in: %w", role, err)
	}
	return u.String(), nil
}

const addUserSQL = `insert into auth.users (id, email) values ($1, $2)`

const removeUserSQL = `
with ledger as (delete from coderhook.accounts where user_id = $1)
delete from auth.users where id = $1`

// AddUser adds a user to auth.users. The returned function removes them, and what coderhook
// wrote about them.
func AddUser(ctx context.Context, adminURL string, id uuid.UUID, email string) (remove func() error, err error) {
	if err := execute(ctx, adminURL, addUserSQL, id, email); err != nil {
		return nil, fmt.Errorf("add a user to auth.users: %w", err)
	}
	return func() error {
		if err := execute(context.WithoutCancel(ctx), adminURL, removeUserSQL, id); err != nil {
			return fmt.Errorf("remove the sample user: %w", err)
		}
		return nil
	}, nil
}

func execute(ctx context.Context, adminURL, sql string, args ...any) error {
	conn, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql, args...)
	return err
}
