package coderclient_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

func TestUserByEmailOnEveryProfile(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		s.AddUser("malice", "malice@example.com", "password")
		alice := s.AddUser("alice", "Alice@example.com", "password")
		for email, want := range map[string]uuid.UUID{"alice@example.com": alice.ID, "lice@example.com": {}, "nobody@example.com": {}, "status:active": {}} {
			got, err := c.UserByEmail(t.Context(), email)
			if got.ID != want || (err == nil) != (want != uuid.Nil) || err != nil && !errors.Is(err, coderclient.ErrNotFound) {
				t.Errorf("%s: %+v, %v", email, got, err)
			}
		}
	})
}

func TestAddressable(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"ada": true, "ada0ada0": true, "me": false, "First": false, "": false, "a/b": false,
		"ada0ada0111142228333444455556666": false, "ADA0ADA0111142228333444455556666": false, "ada0ada011114222833344445555666": true,
	} {
		if got := (coderclient.User{Username: name}).Addressable(); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}

func TestUserByNameAndID(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		alice := s.AddUser("alice", "alice@example.test", "password", "user-admin")
		for _, name := range []string{"alice", "ALICE", alice.ID.String()} {
			u, err := c.User(t.Context(), name)
			if err != nil || u.ID != alice.ID || u.Username != "alice" || u.Status != "dormant" {
				t.Errorf("%s: %+v, %v", name, u, err)
			}
			if len(u.Roles) != 1 || u.Roles[0].Name != "user-admin" || !u.LastSeenAt.IsZero() || u.CreatedAt.IsZero() {
				t.Errorf("%s: %+v", name, u)
			}
		}
	})
}

func TestUserNotFound(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		s.AddUser("alice", "alice@example.test", "password")
		for _, name := range []string{"nobody", uuid.NewString(), "alice@example.test"} {
			if _, err := c.User(t.Context(), name); !errors.Is(err, coderclient.ErrNotFound) {
				t.Errorf("%s: want ErrNotFound: %v", name, err)
			}
		}
	})
}

// TestUserThatCannotBeAddressed: such names must never find somebody else.
func TestUserThatCannotBeAddressed(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileV231)
	c := clientOf(t, s, nil)
	other := s.AddUser("other", "other@example.test", "none")
	hex := other.ID.String()[:8] + other.ID.String()[9:13] + "0000000000000000" + "0000"
	for _, name := range []string{"me", "ME", "first", "", ".", "..", "../buildinfo", "a/b", hex} {
		if u, err := c.User(t.Context(), name); !errors.Is(err, coderclient.ErrNotFound) {
			t.Errorf("%q: want ErrNotFound, got %s, %v", name, u.Username, err)
		}
	}
}

func TestDeletedUser(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, _ *codertest.Server, c *coderclient.Client) {
		alice := addUser(t, c, "alice")
		for range 2 {
			if err := c.DeleteUser(t.Context(), alice.ID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.User(t.Context(), "alice"); !errors.Is(err, coderclient.ErrNotFound) {
			t.Errorf("by name: want ErrNotFound: %v", err)
		}
		if _, err := c.User(t.Context(), alice.ID.String()); err != nil {
			t.Errorf("by id a deleted user is found: %v", err)
		}
		_, err := c.CreateToken(t.Context(), alice.ID, coderclient.NewToken{Name: "t"})
		if !errors.Is(err, coderclient.ErrUserDeleted) {
			t.Errorf("want ErrUserDeleted: %v", err)
		}
		if again := addUser(t, c, "alice"); again.ID == alice.ID {
			t.Error("the name is free again, the id is not")
		}
	})
}

func TestSuspendAndActivate(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, _ *codertest.Server, c *coderclient.Client) {
		alice := addUser(t, c, "alice")
		key := addToken(t, c, alice, "t")
		for range 2 {
			u, err := c.Suspend(t.Context(), alice.ID)
			if err != nil || !u.Suspended() {
				t.Fatalf("suspend: %+v, %v", u, err)
			}
		}
		_, err := c.Me(t.Context(), key)
		if !errors.Is(err, coderclient.ErrInactive) || errors.Is(err, coderclient.ErrUnauthorized) {
			t.Errorf("suspended: want ErrInactive only: %v", err)
		}
		if u, err := c.Activate(t.Context(), alice.ID); err != nil || u.Suspended() {
			t.Fatalf("activate: %+v, %v", u, err)
		}
		if _, err := c.Me(t.Context(), key); err != nil {
			t.Errorf("the key works again: %v", err)
		}
	})
}

func TestSuspendUnknown(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, _ *codertest.Server, c *coderclient.Client) {
		if _, err := c.Suspend(t.Context(), uuid.New()); !errors.Is(err, coderclient.ErrNotFound) {
			t.Errorf("want ErrNotFound: %v", err)
		}
	})
}

func TestMe(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		alice := addUser(t, c, "alice")
		key := addToken(t, c, alice, "t")
		u, err := c.Me(t.Context(), key)
		if err != nil || u.ID != alice.ID || u.Status != "active" {
			t.Errorf("me: %+v, %v", u, err)
		}
		s.DeleteKey(coderclient.KeyID(key))
		for _, bad := range []string{key, "", "garbage"} {
			if _, err := c.Me(t.Context(), bad); !errors.Is(err, coderclient.ErrUnauthorized) {
				t.Errorf("bad key: want ErrUnauthorized: %v", err)
			}
		}
	})
}

func TestMeWithoutTheRight(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileV231)
	c := clientOf(t, s, func(cfg *coderclient.Config) { cfg.Scope = "application_connect" })
	key := addToken(t, c, addUser(t, c, "alice"), "t")
	if _, err := c.Me(t.Context(), key); !errors.Is(err, coderclient.ErrNotFound) {
		t.Errorf("want ErrNotFound: %v", err)
	}
}

// TestIncompleteUser: an answer that is JSON but no user is not one.
func TestIncompleteUser(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `null`, `[]`, `{"message":"ok"}`, `{"id":"x"}`, ``, `{"id":"6d6c1087-3b58-43d5-a98a-9560291b94e7"}`, `<html>`, someUser[:40]} {
		s, _ := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) { answerAs(w, 200, body) })
		if _, err := newClient(t, s.URL, nil).User(t.Context(), "alice"); !errors.Is(err, coderclient.ErrUnavailable) {
			t.Errorf("%q: want ErrUnavailable: %v", body, err)
		}
	}
}

// TestAttemptsDoNotMix: what an incomplete answer held is not in the next one.
func TestAttemptsDoNotMix(t *testing.T) {
	t.Parallel()
	s, _ := scripted(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			answerAs(w, 200, `{"email":"old@example.test","status":"suspended"}`)
			return
		}
		answerAs(w, 200, `{"id":"6d6c1087-3b58-43d5-a98a-9560291b94e7","username":"alice"}`)
	})
	u, err := newClient(t, s.URL, nil).User(t.Context(), "alice")
	if err != nil || u.Email != "" || u.Suspended() {
		t.Errorf("%+v, %v", u, err)
	}
}

// TestUserOfAnotherName: whatever the server makes of a name, somebody else is not who was asked for.
func TestUserOfAnotherName(t *testing.T) {
	t.Parallel()
	s, _ := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) { answerAs(w, 200, someUser) })
	c := newClient(t, s.URL, nil)
	for _, name := range []string{"bob", uuid.NewString()} {
		if _, err := c.User(t.Context(), name); !errors.Is(err, coderclient.ErrNotFound) {
			t.Errorf("%s: want ErrNotFound: %v", name, err)
		}
	}
}
