package coderclient

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// appKeyParam begins the name of the query parameter that hands an app its key; the rest of the name changes with
// Coder's versions, the value has no stable form.
const appKeyParam = "coder_application_connect_api_key_"

// ApplicationHost is the wildcard host of workspace apps, as "*.apps.example.com:8080", or "" when there is none.
//
// https://coder.com/docs/reference/api/applications#get-applications-host
func (c *Client) ApplicationHost(ctx context.Context) (string, error) {
	var apps struct {
		Host *string `json:"host"`
	}
	err := c.do(ctx, call{
		endpoint: "application_host", method: http.MethodGet, path: []string{"applications", "host"}, token: c.token,
	}, reading(&apps, func() bool { return apps.Host != nil }))
	if err != nil {
		return "", fmt.Errorf("get application host: %w", err)
	}
	return *apps.Host, nil
}

// AuthRedirect gives the address that signs the key's user in to the workspace app at redirectURI. The address holds
// an encrypted key: it is a secret. ErrInactive for a dormant user on newer versions: call Me with the key before.
// ErrRefused when redirectURI is no app's. Each call leaves a key in Coder, so a failed one is not repeated.
//
// https://coder.com/docs/reference/api/applications#redirect-to-uri-with-encrypted-api-key
func (c *Client) AuthRedirect(ctx context.Context, key, redirectURI string) (string, error) {
	var location string
	err := c.do(ctx, call{
		endpoint: "auth_redirect", method: http.MethodGet, path: []string{"applications", "auth-redirect"},
		query: url.Values{"redirect_uri": {redirectURI}},
		token: func() string { return key }, once: true,
	}, func(ans answer) error {
		location = ans.header.Get("Location")
		return checkAppRedirect(ans.status, location, redirectURI)
	})
	if err != nil {
		return "", fmt.Errorf("get app redirect: %w", err)
	}
	return location, nil
}

// checkAppRedirect tells the three redirects apart: to the app, to the login page, and to elsewhere.
func checkAppRedirect(status int, location, redirectURI string) error {
	to, err := url.Parse(location)
	isRedirect := status == http.StatusSeeOther || status == http.StatusTemporaryRedirect
	switch {
	case err != nil || !isRedirect:
		return errUnreadable
	case hasAppKey(to) && sameHost(to, redirectURI):
		return nil
	case strings.HasSuffix(to.Path, "/login") && !hasAppKey(to):
		return &Error{Message: to.Query().Get("message")}
	}
	return errUnreadable
}

func hasAppKey(to *url.URL) bool {
	for name, values := range to.Query() {
		if strings.HasPrefix(name, appKeyParam) && values[0] != "" {
			return true
		}
	}
	return false
}

// sameHost: Coder replaces the scheme only, so another host would be somebody else's.
func sameHost(to *url.URL, redirectURI string) bool {
	asked, err := url.Parse(redirectURI)
	return err == nil && (to.Scheme == "http" || to.Scheme == "https") && to.Host != "" && to.Host == asked.Host
}
