package authtest

import (
	"encoding/json"
	"sync"
	"testing"
	"time"
)

// JWTSecret signs a project's tokens with HS256.
const JWTSecret = "a secret of the project that has at least 32 characters"

// User1 is some user.
const User1 = "dbf34ff0-2771-4ee8-a193-a4d4dbe31359"

// JSON encodes what can be encoded.
func JSON(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Day is a day.
const Day = 24 * time.Hour

// Clock is one that the test moves. A nil clock is the real one.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// NewClock returns one that shows the time of now.
func NewClock() *Clock { return &Clock{at: time.Now()} }

// Now returns its time.
func (c *Clock) Now() time.Time {
	if c == nil {
		return time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Advance moves it on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
