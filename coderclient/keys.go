package coderclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Key is what Coder tells of a key; the secret is never among it.
type Key struct {
	ID              string    `json:"id"` // public
	UserID          uuid.UUID `json:"user_id"`
	TokenName       string    `json:"token_name"`
	LoginType       string    `json:"login_type"` // "token" for all but those of browsers and apps
	Scope           string    `json:"scope"`      // "" for what it has no word for
	Scopes          []string  `json:"scopes"`     // since 2.27
	AllowList       []string  `json:"allow_list"` // likewise; what the scopes are for, "*:*" for everything
	LifetimeSeconds int64     `json:"lifetime_seconds"`
	ExpiresAt       time.Time `json:"expires_at"` // moves with every use up to Coder 2.34
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
	LastUsed        time.Time `json:"last_used"` // to the hour; the year 1 or 1970: never
}

// Lifetime returns how long the key lives in all, in whole seconds; Coder's own count can be a second short of the span.
func (k Key) Lifetime() time.Duration {
	if k.LifetimeSeconds > 0 {
		return time.Duration(k.LifetimeSeconds) * time.Second
	}
	return k.ExpiresAt.Sub(k.CreatedAt).Truncate(time.Second)
}

// Allows reports whether both may do the same: the lists are sets.
func (k Key) Allows(same Key) bool {
	return k.Scope == same.Scope && sameSet(k.Scopes, same.Scopes) && sameSet(k.AllowList, same.AllowList)
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// NeverUsed knows both forms in which versions of Coder say so.
func (k Key) NeverUsed() bool { return k.LastUsed.Unix() <= 0 }

func (k *Key) reader() reader {
	return reading(k, func() bool { return k.ID != "" && k.UserID != uuid.Nil })
}

var publicID = regexp.MustCompile(`^[A-Za-z0-9]{10}$`)

// Key describes the user's key with that public id. The server would give the key of any user, so the owner of the
// key is compared here: ErrNotFound when it is somebody else's.
//
// https://coder.com/docs/reference/api/users#get-api-key-by-id
func (c *Client) Key(ctx context.Context, user uuid.UUID, keyID string) (Key, error) {
	rq := call{endpoint: "get_key", method: http.MethodGet, path: keyPath(user, keyID), token: c.token}
	if !publicID.MatchString(keyID) {
		return Key{}, fmt.Errorf("get key: %w", rq.notFound())
	}
	var k Key
	if err := c.do(ctx, rq, k.reader()); err != nil {
		return Key{}, fmt.Errorf("get key: %w", err)
	}
	if k.UserID != user {
		return Key{}, fmt.Errorf("get key: %w", errForeignKey)
	}
	return k, nil
}

// errForeignKey is apart from other ErrNotFounds, as DeleteKey must not call it done.
var errForeignKey = fmt.Errorf("belongs to another user: %w", ErrNotFound)

// DeleteKey ends the user's key with that public id. A key that is already gone is success; one of another user is
// ErrNotFound and stays.
//
// https://coder.com/docs/reference/api/users#delete-api-key
func (c *Client) DeleteKey(ctx context.Context, user uuid.UUID, keyID string) error {
	_, err := c.Key(ctx, user, keyID)
	if err == nil {
		err = c.do(ctx, call{
			endpoint: "delete_key", method: http.MethodDelete, path: keyPath(user, keyID), token: c.token,
		}, nil)
	}
	if err == nil || errors.Is(err, ErrNotFound) && !errors.Is(err, errForeignKey) {
		return nil
	}
	return fmt.Errorf("delete key: %w", err)
}

func keyPath(user uuid.UUID, keyID string) []string {
	return []string{"users", user.String(), "keys", keyID}
}
