package coderclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// NewToken is a key to be made.
type NewToken struct {
	Name     string        // unique per user, also among expired ones
	Lifetime time.Duration // 0: the server's default, 7 or 30 days; more than the server's maximum means the maximum
	Scope    string        // "": the one of the client's configuration

	Scopes    []string // win over Scope; versions up to 2.26 ignore them, so that what was made has to be read back
	AllowList []string // likewise
}

// newTokenBody: scope is sent always, as a token meant to be narrow must not become a full one by omission.
type newTokenBody struct {
	Name     string        `json:"token_name"`
	Lifetime time.Duration `json:"lifetime"` // nanoseconds, as an integer
	Scope    string        `json:"scope"`

	Scopes    []string `json:"scopes,omitempty"`
	AllowList []string `json:"allow_list,omitempty"`
}

// textBadLifetime also answers a lifetime of 0 where the server's default is over its own maximum.
const textBadLifetime = "Failed to validate create API key request."

// CreateToken makes a key for user and returns all of it, "<id>-<secret>". Read its expiry back with Key.
// ErrExists: the name is taken. ErrUserDeleted: see there. A suspended user gets a key that does not work.
// After ErrUnavailable the key may exist: it is not repeated.
//
// https://coder.com/docs/reference/api/users#create-token-api-key
func (c *Client) CreateToken(ctx context.Context, user uuid.UUID, nt NewToken) (string, error) {
	if nt.Lifetime < 0 {
		return "", errors.New("create token: negative lifetime")
	}
	key, err := c.createToken(ctx, user, nt)
	if refusal, ok := errors.AsType[*Error](err); ok && refusal.Message == textBadLifetime {
		key, err = c.createLongestToken(ctx, user, nt, err)
	}
	if err != nil {
		return "", fmt.Errorf("create token: %w", err)
	}
	return key, nil
}

// createLongestToken repeats a request whose lifetime was refused, with the longest that the server allows. If that
// is no shorter, the lifetime is not what is wrong.
func (c *Client) createLongestToken(ctx context.Context, user uuid.UUID, nt NewToken, refusal error) (string, error) {
	longest, err := c.MaxTokenLifetime(ctx, user)
	if err != nil {
		return "", err
	}
	if nt.Lifetime != 0 && longest >= nt.Lifetime {
		return "", refusal
	}
	nt.Lifetime = longest
	return c.createToken(ctx, user, nt)
}

func (c *Client) createToken(ctx context.Context, user uuid.UUID, nt NewToken) (string, error) {
	var made struct {
		Key string `json:"key"`
	}
	err := c.do(ctx, call{
		endpoint: "create_token", method: http.MethodPost, path: tokensPath(user), token: c.token,
		body: newTokenBody{Name: nt.Name, Lifetime: nt.Lifetime, Scope: orDefault(nt.Scope, c.scope), Scopes: nt.Scopes, AllowList: nt.AllowList},
	}, reading(&made, func() bool { return KeyID(made.Key) != "" }))
	return made.Key, err
}

// Tokens lists the user's tokens. Whether expired ones are among them depends on the version.
//
// https://coder.com/docs/reference/api/users#get-user-tokens
func (c *Client) Tokens(ctx context.Context, user uuid.UUID) ([]Key, error) {
	var keys []Key
	err := c.do(ctx, call{
		endpoint: "list_tokens", method: http.MethodGet, path: tokensPath(user), token: c.token,
	}, reading(&keys, anything))
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return keys, nil
}

// MaxTokenLifetime is the longest lifetime that user's tokens may have; owners have a shorter one.
//
// https://coder.com/docs/reference/api/general#get-token-config
func (c *Client) MaxTokenLifetime(ctx context.Context, user uuid.UUID) (time.Duration, error) {
	var config struct {
		Max time.Duration `json:"max_token_lifetime"` // nanoseconds
	}
	err := c.do(ctx, call{
		endpoint: "token_config", method: http.MethodGet,
		path: append(tokensPath(user), "tokenconfig"), token: c.token,
	}, reading(&config, func() bool { return config.Max > 0 }))
	if err != nil {
		return 0, fmt.Errorf("get token config: %w", err)
	}
	return config.Max, nil
}

func tokensPath(user uuid.UUID) []string { return []string{"users", user.String(), "keys", "tokens"} }

// KeyID is the part of a key that is no secret and may be shown, or "" when key is malformed: ten letters or digits,
// a hyphen, and 22 more.
func KeyID(key string) string {
	id, secret, _ := strings.Cut(key, "-")
	if len(id) != 10 || len(secret) != 22 || strings.ContainsFunc(id, noKeyRune) || strings.ContainsFunc(secret, noKeyRune) {
		return ""
	}
	return id
}

func noKeyRune(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
