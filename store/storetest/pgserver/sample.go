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
	conn, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return "", fmt.Errorf("let role in: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// Base32 needs no quoting.
	sql := fmt.Sprintf("alter role %s login password '%s'", pgx.Identifier{role}.Sanitize(), password)
	if _, err := conn.Exec(ctx, sql); err != nil {
		return "", fmt.Errorf("let role %s in: %w", role, err)
	}
	return u.String(), nil
}

const anyUserSQL = `
select id, email from auth.users where email <> '' order by created_at desc nulls last limit 1`

const addUserSQL = `insert into auth.users (id, email) values ($1, $2)`

// SampleUser returns the newest user with an e-mail, or adds one.
func SampleUser(ctx context.Context, adminURL string) (id uuid.UUID, email string, err error) {
	conn, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return uuid.Nil, "", fmt.Errorf("find a user: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, anyUserSQL).Scan(&id, &email)
	if errors.Is(err, pgx.ErrNoRows) {
		id, email = uuid.New(), "ada@example.com"
		_, err = conn.Exec(ctx, addUserSQL, id, email)
	}
	if err != nil {
		return uuid.Nil, "", fmt.Errorf("find a user in auth.users: %w", err)
	}
	return id, email, nil
}
