package coderclient_test

import (
	"errors"
	"testing"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestRolesOnEveryProfile(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		ada := s.AddUser("ada", "ada@example.com", "password")
		key := s.AddToken("ada", "mine", day)
		wants := func(want coderclient.Roles) {
			t.Helper()
			byOwner, err := c.Roles(t.Context(), ada.ID)
			mine, mineErr := c.MyRoles(t.Context(), key.Whole)
			if diff := cmp.Diff([]coderclient.Roles{want, want}, []coderclient.Roles{byOwner, mine}); diff != "" || err != nil || mineErr != nil {
				t.Errorf("%v, %v, %s", err, mineErr, diff)
			}
		}
		wants(coderclient.Roles{Site: []string{}, Organizations: map[uuid.UUID][]string{s.OrganizationID(): {}}})
		s.SetRoles("ada", "auditor")
		s.SetOrganizationRoles("ada", "organization-admin")
		wants(coderclient.Roles{Site: []string{"auditor"}, Organizations: map[uuid.UUID][]string{s.OrganizationID(): {"organization-admin"}}})
		if _, err := c.Roles(t.Context(), uuid.New()); !errors.Is(err, coderclient.ErrNotFound) {
			t.Errorf("of nobody: %v", err)
		}
	})
}
