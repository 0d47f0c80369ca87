package coderclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"
)

// NewUser is an account to be made.
type NewUser struct {
	Email        string // stored as given, compared without case: send lower case
	Username     string // 1 to 32 of [a-zA-Z0-9] with single inner hyphens
	Organization uuid.UUID
	Name         string // the person's, of up to 128 bytes without blanks at its ends; old versions ignore it
}

// newUserBody suits all versions: the old ones read disable_login and ignore organization_ids. Both organization
// fields together would be a duplicate to the versions between.
type newUserBody struct {
	Email           string      `json:"email"`
	Username        string      `json:"username"`
	LoginType       string      `json:"login_type"`
	DisableLogin    bool        `json:"disable_login,omitempty"`
	Password        string      `json:"password,omitempty"`
	OrganizationIDs []uuid.UUID `json:"organization_ids"`
	Name            string      `json:"name,omitempty"`
}

// CreateUser makes an account with the configured login type. ErrExists does not say whether the name or the address
// is taken. After ErrUnavailable the account may exist: it is not repeated.
//
// https://coder.com/docs/reference/api/users#create-new-user
func (c *Client) CreateUser(ctx context.Context, nu NewUser) (User, error) {
	loginType := c.loginType.choice()
	u, err := c.createUser(ctx, nu, loginType)
	if refusal, ok := errors.AsType[*Error](err); ok && c.loginType.refused(loginType, refusal) {
		u, err = c.createUser(ctx, nu, loginPassword)
	}
	if err != nil {
		return User{}, fmt.Errorf("create user: %w", err)
	}
	return u, nil
}

func (c *Client) createUser(ctx context.Context, nu NewUser, loginType string) (User, error) {
	body := newUserBody{
		Email: nu.Email, Username: nu.Username, LoginType: loginType, DisableLogin: loginType == loginNone,
		OrganizationIDs: []uuid.UUID{nu.Organization}, Name: nu.Name,
	}
	if loginType == loginPassword {
		body.Password = throwawayPassword()
	}
	var u User
	err := c.do(ctx, call{
		endpoint: "create_user", method: http.MethodPost, path: []string{"users"},
		token: c.token, body: body, secret: body.Password,
	}, u.reader())
	return u, err
}
