package coderclient_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

func TestWorkspacesOfOneUser(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		s.AddUser("alice", "alice@example.test", "password")
		s.AddUser("alice2", "alice2@example.test", "password")
		s.AddWorkspace("alice2", "hers")
		s.AddWorkspace("owner", "ours")
		alice, err := c.User(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if none, err := c.Workspaces(t.Context(), alice); len(none) != 0 || err != nil {
			t.Errorf("got %+v, %v", none, err)
		}
		want := map[string]bool{}
		for i := range 11 { // more than a page
			want[s.AddWorkspace("alice", fmt.Sprint("w", i)).ID.String()] = true
		}
		list, err := c.Workspaces(t.Context(), alice)
		for _, w := range list {
			if !want[w.ID.String()] || w.Down() || w.Building() || w.Latest.Transition != "start" || w.Name == "" {
				t.Errorf("got %+v", w)
			}
		}
		if len(list) != 11 || err != nil {
			t.Errorf("%d workspaces, %v", len(list), err)
		}
		// The owner of the token, whom a search for owner:me would find.
		alice.Username = "me"
		if none, err := c.Workspaces(t.Context(), alice); len(none) != 0 || err != nil {
			t.Errorf("got %+v, %v", none, err)
		}
	})
}

func TestStopWorkspace(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		s.AddUser("alice", "alice@example.test", "password")
		w := s.AddWorkspace("alice", "dev")
		s.SuspendUser("alice")
		if err := c.StopWorkspace(t.Context(), w.ID); err != nil {
			t.Fatal(err)
		}
		if got := s.WorkspacesOf("alice")[0]; got.Status != "stopped" || got.Transition != "stop" || got.Builds != 2 {
			t.Errorf("got %+v", got)
		}
		s.SetWorkspace(w.ID, "start", "starting", false)
		if err := c.StopWorkspace(t.Context(), w.ID); !errors.Is(err, coderclient.ErrExists) {
			t.Errorf("while it starts: %v", err)
		}
		s.SetWorkspace(w.ID, "delete", "deleted", false)
		if err := c.StopWorkspace(t.Context(), w.ID); !errors.Is(err, coderclient.ErrExists) {
			t.Errorf("when it is deleted: %v", err)
		}
		if err := c.StopWorkspace(t.Context(), [16]byte{1}); !errors.Is(err, coderclient.ErrNotFound) {
			t.Errorf("of an unknown one: %v", err)
		}
	})
}

// A key of the user's ends the app sessions that came from any other.
func TestLogOut(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		s.AddUser("alice", "alice@example.test", "password")
		hers, ours := s.AddToken("alice", "her-own", time.Hour), s.AddToken("alice", "ours", time.Hour)
		if _, err := c.Me(t.Context(), hers.Whole); err != nil { // dormant users enter no app
			t.Fatal(err)
		}
		for range 2 {
			if _, err := c.AuthRedirect(t.Context(), hers.Whole, "http://x.apps.localhost/"); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.AppKeysOf("alice"); got != 2 {
			t.Fatalf("%d sessions", got)
		}
		if err := c.LogOut(t.Context(), ours.Whole); err != nil {
			t.Fatal(err)
		}
		if left := s.TokensOf("alice"); s.AppKeysOf("alice") != 0 || len(left) != 1 || left[0].ID != hers.ID {
			t.Errorf("%d sessions and %+v left", s.AppKeysOf("alice"), left)
		}
		if err := c.LogOut(t.Context(), ours.Whole); !errors.Is(err, coderclient.ErrUnauthorized) {
			t.Errorf("twice: %v", err)
		}
	})
}
