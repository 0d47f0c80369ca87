package codertest_test

import (
	"testing"

	"coderhook/coderclient/codertest"
)

// The memory of a token outlives the token, its user and the installation.
func TestIssued(t *testing.T) {
	t.Parallel()
	s := start(t, codertest.ProfileV231)
	s.AddUser("ada", "ada@example.com", "none")
	mustAsk(t, s, "POST", "/users/ada/keys/tokens", `{"token_name":"supabase-a"}`)
	id := s.TokensOf("ada")[0].ID
	check := func(gone bool) {
		t.Helper()
		got, found := s.Issued(id)
		if !found || got.Username != "ada" || got.Email != "ada@example.com" || got.ID != id || got.Installation != 1 || got.Gone != gone {
			t.Errorf("%t %+v", found, got)
		}
	}
	check(false)
	s.DeleteKey(id)
	check(true)
	s.Reset()
	check(true)
	s.AddUser("ada", "ada@example.com", "none")
	mustAsk(t, s, "POST", "/users/ada/keys/tokens", `{"token_name":"supabase-a"}`)
	installations := map[int]bool{}
	for _, issue := range s.AllIssued() {
		installations[issue.Installation] = issue.Gone
	}
	if gone, found := installations[s.Installation()]; s.Installation() != 2 || !found || gone || !installations[1] {
		t.Errorf("installation %d, gone in each: %v", s.Installation(), installations)
	}
	if _, found := s.Issued("0123456789"); found {
		t.Error("found what was never made")
	}
}
