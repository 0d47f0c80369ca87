package coderclient

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// AuthMethods are the ways in which people may log in to Coder.
type AuthMethods struct {
	Password enabled `json:"password"`
	GitHub   enabled `json:"github"`
	OIDC     enabled `json:"oidc"`
}

// enabled was a plain boolean up to 2022, and is a member of an object since.
type enabled bool

// UnmarshalJSON takes both forms.
func (e *enabled) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, (*bool)(e)) == nil {
		return nil
	}
	var o struct {
		Enabled bool `json:"enabled"`
	}
	err := json.Unmarshal(text, &o)
	*e = enabled(o.Enabled)
	return err
}

// AuthMethods needs no key. https://coder.com/docs/reference/api/users#get-authentication-methods
func (c *Client) AuthMethods(ctx context.Context) (AuthMethods, error) {
	var m AuthMethods
	err := c.do(ctx, call{
		endpoint: "auth_methods", method: http.MethodGet, path: []string{"users", "authmethods"},
	}, reading(&m, anything))
	if err != nil {
		return AuthMethods{}, fmt.Errorf("get authentication methods: %w", err)
	}
	return m, nil
}

// Smarthost is the mail server through which Coder sends, "" for none: with one, a password can be
// set by whoever reads the mail that is sent to the user's address. Only owners may ask.
//
// https://coder.com/docs/reference/api/general#get-deployment-config
func (c *Client) Smarthost(ctx context.Context) (string, error) {
	var d struct {
		Config *struct {
			Notifications struct {
				Email struct {
					Smarthost string `json:"smarthost"`
				} `json:"email"`
			} `json:"notifications"`
		} `json:"config"`
	}
	err := c.do(ctx, call{
		endpoint: "deployment_config", method: http.MethodGet, path: []string{"deployment", "config"}, token: c.token,
	}, reading(&d, func() bool { return d.Config != nil }))
	if err != nil {
		return "", fmt.Errorf("get deployment's configuration: %w", err)
	}
	return d.Config.Notifications.Email.Smarthost, nil
}
