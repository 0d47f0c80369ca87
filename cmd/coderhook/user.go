package main

import (
	"context"
	"fmt"

	"coderhook/store"

	"github.com/google/uuid"
)

// parseUser reads a user's id.
func parseUser(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return id, fmt.Errorf("--user %q is not a UUID", text)
	}
	return id, nil
}

// usersOf returns those whom --user may mean, by id or e-mail address.
func usersOf(ctx context.Context, database *store.Store, text string) ([]uuid.UUID, error) {
	if id, err := uuid.Parse(text); err == nil {
		return []uuid.UUID{id}, nil
	}
	ids, err := database.AuthUserIDs(ctx, text)
	if err == nil && len(ids) == 0 {
		err = fmt.Errorf("--user: %q is neither an id nor the e-mail address of a Supabase user", text)
	}
	return ids, err
}

// oneUser returns whom an id or an e-mail address means.
func oneUser(ctx context.Context, database *store.Store, text string) (uuid.UUID, error) {
	users, err := usersOf(ctx, database, text)
	if err != nil {
		return uuid.Nil, err
	}
	if len(users) > 1 {
		return uuid.Nil, fmt.Errorf("--user: several users have the address %q; name one by id: %v", text, users)
	}
	return users[0], nil
}
