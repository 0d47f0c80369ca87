package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"coderhook/cmd/internal/bench/load"
	"coderhook/hook/webhook"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// newUsers makes users with keys of Coder's form, each with an event of now.
func newUsers(n int, event []byte, now time.Time) ([]load.User, error) {
	users := make([]load.User, n)
	for i := range users {
		u := load.User{ID: uuid.New(), Email: fmt.Sprintf("user-%06d@example.com", i), Key: rand.Text()[:10] + "-" + rand.Text()[:22]}
		var err error
		if u.Event, err = webhook.Replay(event, u.ID, u.Email, now); err != nil {
			return nil, err
		}
		users[i] = u
	}
	return users, nil
}

// The ledger of users whose key was made a day ago, and needs no renewal and no check during the bench, however long
// that takes: the keys are unknown to the fake Coder.
const seedSQL = `
with given as (select * from unnest($1::uuid[], $2::text[], $3::text[]) as t (id, email, key)),
     users as (insert into auth.users (id, email) select id, email from given),
     profiles as (insert into public.profiles (id, api_key) select id, key from given)
insert into coderhook.accounts (user_id, coder_user_id, coder_username, status, key_id, key_expires_at,
                                key_lifetime_seconds, key_checked_at, token_seconds)
select id, gen_random_uuid(), split_part(id::text, '-', 1), 'active', split_part(key, '-', 1), now() + interval '6 days',
       7 * 24 * 60 * 60, now() + interval '1 day', 60 * 60
  from given`

// seed puts users, their keys and the function of the database where they belong.
func seed(ctx context.Context, adminURL string, users []load.User, function string) error {
	conn, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var ids []uuid.UUID
	var emails, keys []string
	for _, u := range users {
		ids, emails, keys = append(ids, u.ID), append(emails, u.Email), append(keys, u.Key)
	}
	if _, err := conn.Exec(ctx, seedSQL, ids, emails, keys); err != nil {
		return fmt.Errorf("seed users: %w", err)
	}
	if _, err := conn.Exec(ctx, function); err != nil {
		return fmt.Errorf("make the database's function: %w", err)
	}
	_, err = conn.Exec(ctx, "vacuum analyze")
	return err
}
