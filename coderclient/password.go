package coderclient

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"
)

// EndAllKeys deletes every key of a user who logs in by password, also those that no list shows: those of browsers,
// of apps, and what a key made of itself by POST /users/me/keys. Coder does so when an owner sets a new password,
// which here is random, and kept by nobody. ErrRefused for users with another login type.
//
// https://coder.com/docs/reference/api/users#update-user-password
func (c *Client) EndAllKeys(ctx context.Context, user uuid.UUID) error {
	password := throwawayPassword()
	err := c.do(ctx, call{
		endpoint: "set_password", method: http.MethodPut, path: []string{"users", user.String(), "password"},
		token: c.token, body: map[string]string{"password": password}, secret: password,
	}, nil)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}

// HasPassword reports whether the user logs in by password, if only by one that nobody knows.
func (u User) HasPassword() bool { return u.LoginType == loginPassword }
