package coderclient_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

// TestKeyOfAnotherUser: the server would give and delete it.
func TestKeyOfAnotherUser(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		alice, bob := addUser(t, c, "alice"), addUser(t, c, "bob")
		id := coderclient.KeyID(addToken(t, c, alice, "t"))
		if _, err := c.Key(t.Context(), bob.ID, id); !errors.Is(err, coderclient.ErrNotFound) {
			t.Errorf("read: want ErrNotFound: %v", err)
		}
		if err := c.DeleteKey(t.Context(), bob.ID, id); !errors.Is(err, coderclient.ErrNotFound) {
			t.Errorf("delete: want ErrNotFound: %v", err)
		}
		if len(s.TokensOf("alice")) != 1 {
			t.Error("another user's key was deleted")
		}
	})
}

func TestDeleteKey(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		alice := addUser(t, c, "alice")
		id := coderclient.KeyID(addToken(t, c, alice, "t"))
		for range 2 {
			if err := c.DeleteKey(t.Context(), alice.ID, id); err != nil {
				t.Errorf("delete: %v", err)
			}
		}
		if err := c.DeleteKey(t.Context(), uuid.New(), id); err != nil {
			t.Errorf("the keys of a user that is gone are gone: %v", err)
		}
		if len(s.TokensOf("alice")) != 0 {
			t.Error("the key is still there")
		}
	})
}

// TestDeleteKeyLostAnswer: the repeated request finds nothing, which is what was wanted.
func TestDeleteKeyLostAnswer(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	c := clientOf(t, s, nil)
	alice := addUser(t, c, "alice")
	id := coderclient.KeyID(addToken(t, c, alice, "t"))
	defer s.Fail(codertest.Fault{Method: "DELETE", Times: 1, Reset: true, AfterActing: true})()
	if err := c.DeleteKey(t.Context(), alice.ID, id); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func TestDeleteKeyFailures(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	c := clientOf(t, s, nil)
	alice := addUser(t, c, "alice")
	id := coderclient.KeyID(addToken(t, c, alice, "t"))
	defer s.Fail(codertest.Fault{Method: "DELETE", Status: 502, Body: "<html>", Proxy: true})()
	if err := c.DeleteKey(t.Context(), alice.ID, id); !errors.Is(err, coderclient.ErrUnavailable) {
		t.Errorf("want ErrUnavailable: %v", err)
	}
}

// TestMalformedKeyID: what is no id is not asked for; it might be a whole key, or change the path.
func TestMalformedKeyID(t *testing.T) {
	t.Parallel()
	s, count := scripted(t, func(int, http.ResponseWriter, *http.Request) {})
	c := newClient(t, s.URL, nil)
	for _, id := range []string{"", "tokens", "..", "AbCdEfGhIj-0123456789012345678901", "AbCdEfGh/j"} {
		if _, err := c.Key(t.Context(), someID, id); !errors.Is(err, coderclient.ErrNotFound) {
			t.Errorf("%q: want ErrNotFound: %v", id, err)
		}
	}
	if count.Load() != 0 {
		t.Errorf("%d requests", count.Load())
	}
}

// TestNeverUsed: versions of Coder disagree about when never was.
func TestNeverUsed(t *testing.T) {
	t.Parallel()
	for lastUsed, want := range map[string]bool{
		"0001-01-01T00:00:00Z": true, "1970-01-01T00:00:00Z": true, "2026-11-23T07:11:10.4Z": false,
	} {
		s, _ := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			answerAs(w, 200, fmt.Sprintf(`{"id":"AbCdEfGhIj","user_id":%q,"last_used":%q}`, someID, lastUsed))
		})
		k, err := newClient(t, s.URL, nil).Key(t.Context(), someID, "AbCdEfGhIj")
		if err != nil || k.NeverUsed() != want {
			t.Errorf("%s: %t, %v", lastUsed, k.NeverUsed(), err)
		}
	}
}
