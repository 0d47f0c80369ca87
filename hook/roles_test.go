package hook

import (
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/store"
)

// promotions are ways to become more than everybody.
var promotions = map[string]func(*codertest.Server, string){
	"site role":         func(s *codertest.Server, name string) { s.SetRoles(name, "owner") },
	"organization role": func(s *codertest.Server, name string) { s.SetOrganizationRoles(name, "organization-admin") },
}

func demote(s *codertest.Server, name string) {
	s.SetRoles(name)
	s.SetOrganizationRoles(name, "organization-member", "organization-workspace-access")
}

// However a mint comes to look at the account, one that was promoted gets no key, and loses ours.
func TestAPromotedAccountGetsNoKey(t *testing.T) {
	t.Parallel()
	for name, promote := range promotions {
		for when, arrange := range map[string]func(*world, *authtest.Clock){
			"no key": func(w *world, _ *authtest.Clock) { w.plantNothing(t) },
			"the key is renewed in the background": func(w *world, c *authtest.Clock) {
				c.Advance(5 * authtest.Day)
				w.mintAda(t)
				w.settled()
			},
			"the key is checked": func(w *world, c *authtest.Clock) {
				c.Advance(time.Hour)
				w.mintAda(t)
				w.settled()
			},
			"suspended before": func(w *world, c *authtest.Clock) {
				w.coder.SuspendUser("ada0ada0")
				c.Advance(time.Hour)
				w.mintAda(t)
				w.settled()
				w.coder.ActivateUser("ada0ada0")
			},
		} {
			t.Run(name+", "+when, func(t *testing.T) {
				t.Parallel()
				w, c, _ := newbie(t, profileNew())
				w.coder.AddToken("ada0ada0", "her-own", 30*authtest.Day)
				promote(w.coder, "ada0ada0")
				arrange(w, c)
				for range 2 {
					if got := w.mint(t, ada, "ada@example.com"); got.key(t) != "" || got.keyStatus(t) != "conflict" {
						t.Errorf("got %s", got.body)
					}
					w.settled()
				}
				if got := w.account(t, ada); got.Status != store.Conflict || !strings.Contains(got.LastError, "roles in Coder") {
					t.Errorf("the ledger says %v: %s", got, got.LastError)
				}
				if left := w.tokensOfAda(); len(left) != 1 || left[0].TokenName != "her-own" {
					t.Errorf("left in Coder: %+v", left)
				}
				if !slices.Contains(w.audited(t), string(store.RoleRefused)) {
					t.Errorf("the audit trail has %v", w.audited(t))
				}
				demote(w.coder, "ada0ada0")
				c.Advance(time.Minute)
				w.wantWorkingKey(t, w.mintAda(t), "ada@example.com")
				w.settled()
			})
		}
	}
}

func (w *world) plantNothing(t *testing.T) {
	t.Helper()
	w.db.Exec(t, `update public.profiles set api_key = null where id = $1`, ada)
}

// An account with a role is nobody's to adopt, by its name or by its key, nor to be linked.
func TestAnAccountWithARoleIsNotTaken(t *testing.T) {
	t.Parallel()
	for name, promote := range promotions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := clocked(t, profileNew())
			w.addAda(t)
			w.coder.AddUser("ada0ada0", "ada@example.com", "password")
			key := w.coder.AddToken("ada0ada0", "old", 30*authtest.Day)
			promote(w.coder, "ada0ada0")
			if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
				t.Errorf("adopted by its name: %s", got.body)
			}
			w.settled()
			if _, err := w.link(t, "ada0ada0"); err == nil || !strings.Contains(err.Error(), "roles") {
				t.Errorf("linked: %v", err)
			}
			w.profileKey(t, key.Whole)
			w.mintAda(t)
			w.settled()
			if got := w.account(t, ada); got.CoderUserID != [16]byte{} || !got.KeyRefused {
				t.Errorf("adopted by its key: %v", got)
			}
		})
	}
}

// What an organization gives to every member is nobody's promotion, unless it is its administration.
func TestRolesOfEveryMember(t *testing.T) {
	t.Parallel()
	for roles, want := range map[string]string{"organization-template-user": "", "organization-admin": "conflict"} {
		w, _, _ := newbie(t, profileNew())
		w.coder.Configure(func(s *codertest.Settings) { s.MemberRoles = []string{roles} })
		w.coder.SetOrganizationRoles("ada0ada0", "organization-member", roles)
		w.plantNothing(t)
		if got := w.mint(t, ada, "ada@example.com").keyStatus(t); got != want {
			t.Errorf("%s: %q, want %q", roles, got, want)
		}
		w.settled()
	}
}

// A narrow key may not read its user's roles: the owner's token does.
func TestRolesOfANarrowKey(t *testing.T) {
	t.Parallel()
	s := profileNew()
	s.coder.Scope = "application_connect"
	w, c, _ := newbie(t, s)
	c.Advance(time.Hour)
	w.mintAda(t)
	w.settled()
	if got := w.account(t, ada); got.KeyRefused || got.Status != store.Active {
		t.Errorf("got %v", got)
	}
}

// A Coder that has no answer about roles is no reason to give a key.
func TestNoKeyWhileRolesAreNotKnown(t *testing.T) {
	t.Parallel()
	w, _, _ := newbie(t, profileNew())
	w.plantNothing(t)
	w.coder.Fail(codertest.Fault{Path: "/users/*/roles", Status: 502})
	if got := w.mint(t, ada, "ada@example.com"); got.key(t) != "" || got.keyStatus(t) != "unavailable" {
		t.Errorf("got %s", got.body)
	}
	w.settled()
	w.wantOneUser(t, 1)
}
