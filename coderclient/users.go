package coderclient

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// User is a Coder account.
type User struct {
	ID              uuid.UUID   `json:"id"`
	Username        string      `json:"username"`
	Email           string      `json:"email"`
	Status          string      `json:"status"`     // active, dormant or suspended
	LoginType       string      `json:"login_type"` // an upgrade of Coder turns none into password
	OrganizationIDs []uuid.UUID `json:"organization_ids"`
	Roles           []Role      `json:"roles"` // without the member role, which everybody has
	CreatedAt       time.Time   `json:"created_at"`
	LastSeenAt      time.Time   `json:"last_seen_at"` // zero: never
}

// Role is a site-wide role.
type Role struct {
	Name string `json:"name"`
}

// Suspended reports whether the user's keys are refused.
func (u User) Suspended() bool { return u.Status == "suspended" }

func (u *User) reader() reader {
	return reading(u, func() bool { return u.ID != uuid.Nil && u.Username != "" })
}

// User finds by id or by name, never by e-mail address. A deleted user is still found by id, and nothing shows it.
// A name that the API can't address is ErrNotFound: me and first mean something else, 32 hex digits are an id.
//
// https://coder.com/docs/reference/api/users#get-user-by-name
func (c *Client) User(ctx context.Context, idOrName string) (User, error) {
	rq := call{endpoint: "get_user", method: http.MethodGet, path: []string{"users", idOrName}, token: c.token}
	if !addressable(idOrName) {
		return User{}, fmt.Errorf("get user: %w", rq.notFound())
	}
	var u User
	if err := c.do(ctx, rq, u.reader()); err != nil {
		return User{}, fmt.Errorf("get user: %w", err)
	}
	if !u.isCalled(idOrName) {
		return User{}, fmt.Errorf("get user: %w", rq.notFound())
	}
	return u, nil
}

// UserByEmail finds an account by its address, in any case. Coder searches for parts of several fields, so that what
// it finds is compared here.
//
// https://coder.com/docs/reference/api/users#get-users
func (c *Client) UserByEmail(ctx context.Context, email string) (User, error) {
	rq := call{
		endpoint: "search_users", method: http.MethodGet, path: []string{"users"}, token: c.token,
		query: url.Values{"q": {strings.ToLower(email)}},
	}
	if strings.ContainsAny(email, ": \t\"") { // they mean something in a search
		return User{}, fmt.Errorf("find user: %w", rq.notFound())
	}
	var found struct {
		Users []User `json:"users"`
	}
	if err := c.do(ctx, rq, reading(&found, anything)); err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	for _, u := range found.Users {
		if strings.EqualFold(u.Email, email) {
			return u, nil
		}
	}
	return User{}, fmt.Errorf("find user: %w", rq.notFound())
}

func (u User) isCalled(idOrName string) bool {
	if id, err := uuid.Parse(idOrName); err == nil {
		return u.ID == id
	}
	return strings.EqualFold(u.Username, idOrName)
}

// addressable keeps out names that would change the path or that the server reads as something else.
func addressable(name string) bool {
	switch strings.ToLower(name) {
	case "", ".", "..", "me", "first":
		return false
	}
	return !strings.Contains(name, "/")
}

// notFound is Coder's own answer, given without asking.
func (rq call) notFound() *Error {
	return rq.fail(answer{status: http.StatusNotFound, body: []byte(`{"message":"No such resource."}`)}, errStatus)
}

// Addressable: the API finds the user by their name. One called me, first, or like an id is there all the same.
func (u User) Addressable() bool {
	_, err := uuid.Parse(u.Username)
	return err != nil && addressable(u.Username)
}

// Me gives the user whose key it is. With a dormant user's key it also makes the user active, and up to 2.34 it moves
// the key's expiry. A key without the right to read its user is ErrNotFound.
func (c *Client) Me(ctx context.Context, key string) (User, error) {
	rq := call{
		endpoint: "get_me", method: http.MethodGet, path: []string{"users", "me"},
		token: func() string { return key },
	}
	var u User
	if err := c.do(ctx, rq, u.reader()); err != nil {
		return User{}, fmt.Errorf("get key's user: %w", err)
	}
	return u, nil
}

// Suspend makes Coder refuse the user's keys, which are kept. Suspending twice is fine.
//
// https://coder.com/docs/reference/api/users#suspend-user-account
func (c *Client) Suspend(ctx context.Context, id uuid.UUID) (User, error) {
	return c.setStatus(ctx, "suspend", id)
}

// Activate undoes Suspend; the old keys work again.
//
// https://coder.com/docs/reference/api/users#activate-user-account
func (c *Client) Activate(ctx context.Context, id uuid.UUID) (User, error) {
	return c.setStatus(ctx, "activate", id)
}

func (c *Client) setStatus(ctx context.Context, verb string, id uuid.UUID) (User, error) {
	var u User
	err := c.do(ctx, call{
		endpoint: verb + "_user", method: http.MethodPut,
		path: []string{"users", id.String(), "status", verb}, token: c.token,
	}, u.reader())
	if err != nil {
		return User{}, fmt.Errorf("%s user: %w", verb, err)
	}
	return u, nil
}

// DeleteUser deletes softly: name and address are free again, the keys are gone. Deleting twice is fine.
// ErrRefused (417) when the user has workspaces.
//
// https://coder.com/docs/reference/api/users#delete-user
func (c *Client) DeleteUser(ctx context.Context, id uuid.UUID) error {
	err := c.do(ctx, call{
		endpoint: "delete_user", method: http.MethodDelete, path: []string{"users", id.String()}, token: c.token,
	}, nil)
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}
