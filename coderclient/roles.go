package coderclient

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"
)

// Roles are all that a user has, without those that everybody has implicitly.
type Roles struct {
	Site          []string               `json:"roles"`
	Organizations map[uuid.UUID][]string `json:"organization_roles"`
}

// Roles tells the roles of the user, site-wide and in organizations: the user itself shows only the former.
//
// https://coder.com/docs/reference/api/users#get-user-roles
func (c *Client) Roles(ctx context.Context, user uuid.UUID) (Roles, error) {
	return c.roles(ctx, user.String(), c.token)
}

// MyRoles are those of the user whose key it is: it counts against that user's rate limit. A key without the right
// to read its user is ErrNotFound.
func (c *Client) MyRoles(ctx context.Context, key string) (Roles, error) {
	return c.roles(ctx, "me", func() string { return key })
}

func (c *Client) roles(ctx context.Context, user string, token func() string) (Roles, error) {
	var r Roles
	err := c.do(ctx, call{
		endpoint: "get_roles", method: http.MethodGet, path: []string{"users", user, "roles"}, token: token,
	}, reading(&r, func() bool { return r.Site != nil || r.Organizations != nil }))
	if err != nil {
		return Roles{}, fmt.Errorf("get roles: %w", err)
	}
	return r, nil
}
