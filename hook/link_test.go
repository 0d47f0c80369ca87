package hook

import (
	"strings"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/reconcile"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// conflict is a world where Ada's e-mail in Coder belongs to an account that was not made for her.
func conflict(t *testing.T, arrange func(*testing.T, *world)) (*world, *authtest.Clock) {
	t.Helper()
	w, c := clocked(t, profileNew())
	w.addAda(t)
	arrange(t, w)
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
		t.Fatalf("no conflict: %s", got.body)
	}
	w.settled()
	return w, c
}

func ownAccount(_ *testing.T, w *world) {
	w.coder.AddUser("lovelace", "ada@example.com", "password")
	w.coder.AddToken("lovelace", "her-own", 30*authtest.Day)
}

var bob = uuid.MustParse("b0bb0bb0-1111-4222-8333-444455556666")

// formerAccount: she was Bob in Supabase, and deleted that account.
func formerAccount(t *testing.T, w *world) {
	made := w.coder.AddUser("b0bb0bb0", "ada@example.com", "none")
	key := w.coder.AddToken("b0bb0bb0", ourToken, 7*authtest.Day)
	w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, coder_username, key_id, status) values ($1, $2, 'b0bb0bb0', $3, 'active')`, bob, made.ID, key.ID)
}

func (w *world) link(t *testing.T, name string) (reconcile.LinkPlan, error) {
	t.Helper()
	r := w.reconciler()
	plan, err := r.PlanLink(t.Context(), ada, name)
	if err != nil {
		return plan, err
	}
	return plan, r.Link(t.Context(), plan, "root")
}

func TestLinkAPersonsOwnAccount(t *testing.T) {
	t.Parallel()
	w, c := conflict(t, ownAccount)
	plan, err := w.link(t, "Lovelace")
	if err != nil || plan.Made || plan.From != uuid.Nil {
		t.Fatalf("%v, %v", plan, err)
	}
	key := w.mintAda(t)
	w.wantWorkingKey(t, key, "ada@example.com")
	w.settled()
	if got := w.account(t, ada); !got.Linked || got.CoderUsername != "lovelace" || got.Status != store.Active {
		t.Errorf("%v", got)
	}
	want := "root link lovelace"
	if got := storetest.Query[string](t, w.db, `select actor || ' ' || action || ' ' || replace(detail, 'Coder user ', '') from coderhook.audit where action = 'link'`); got != want {
		t.Errorf("audit says %q", got)
	}
	if !strings.Contains(w.log.String(), "audit: linked by an operator") {
		t.Error("nothing in the log")
	}
	// Off-boarding takes what we gave, and nothing that was hers before.
	c.Advance(time.Hour)
	w.db.Exec(t, deleteAda)
	w.reconcile(t, w.reconciler(), reconcile.Summary{Offboarded: 1, Tokens: 1})
	if left := w.coder.TokensOf("lovelace"); len(left) != 1 || left[0].TokenName != "her-own" {
		t.Errorf("left: %+v", left)
	}
	if user, _ := w.coder.User("lovelace"); user.Status == "suspended" {
		t.Error("her own account was suspended")
	}
}

// Who deleted their Supabase account and signed up again has a new uuid and the old e-mail.
func TestLinkTheAccountOfWhoLeft(t *testing.T) {
	t.Parallel()
	for name, offboarded := range map[string]bool{"off-boarded": true, "not yet": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c := conflict(t, formerAccount)
			c.Advance(time.Hour)
			if offboarded {
				w.reconcile(t, w.reconciler(), reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1})
				if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
					t.Errorf("handed over by itself: %s", got.body)
				}
				w.settled()
			}
			plan, err := w.link(t, "b0bb0bb0")
			if err != nil || !plan.Made || plan.From != bob || !strings.Contains(plan.String(), bob.String()) {
				t.Fatalf("%v, %v", plan, err)
			}
			w.wantWorkingKey(t, w.mintAda(t), "ada@example.com")
			w.settled()
			w.wantOneUser(t, 1)                      // the old key went with its user
			want := reconcile.Summary{Offboarded: 1} // the old row, with nothing in it
			if offboarded {
				want = reconcile.Summary{}
			}
			w.reconcile(t, w.reconciler(), want)
			if got := w.account(t, ada); got.Linked || got.CoderUsername != "b0bb0bb0" {
				t.Errorf("%v", got)
			}
			if _, err := w.link(t, "b0bb0bb0"); err == nil || !strings.Contains(err.Error(), "already") {
				t.Errorf("twice: %v", err)
			}
		})
	}
}

func TestLinkRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arrange func(*testing.T, *world)
		name    string
		want    string
	}{
		"admins": {func(_ *testing.T, w *world) { w.coder.AddUser("lovelace", "ada@example.com", "password", "owner") }, "lovelace", "has roles (owner)"},
		"nobody": {ownAccount, "nobody", "no user nobody in Coder"},
		"me":     {ownAccount, "me", "no user me in Coder"},
		"suspended by others": {func(t *testing.T, w *world) {
			ownAccount(t, w)
			w.coder.SuspendUser("lovelace")
		}, "lovelace", "activate it in Coder first"},
		"that of a living user": {func(t *testing.T, w *world) {
			formerAccount(t, w)
			w.db.Exec(t, `insert into auth.users (id, email) values ($1, 'bob@example.com')`, bob)
		}, "b0bb0bb0", "another Supabase user"},
		"that of a banned user": {func(t *testing.T, w *world) {
			formerAccount(t, w)
			w.db.Exec(t, `insert into auth.users (id, banned_until) values ($1, 'infinity')`, bob)
		}, "b0bb0bb0", "another Supabase user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := conflict(t, test.arrange)
			if _, err := w.link(t, test.name); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if got := w.account(t, ada); got.CoderUserID != uuid.Nil {
				t.Errorf("linked all the same: %v", got)
			}
		})
	}
	t.Run("a user who is not there", func(t *testing.T) {
		t.Parallel()
		w, _ := conflict(t, ownAccount)
		w.db.Exec(t, deleteAda)
		if _, err := w.link(t, "lovelace"); err == nil || !strings.Contains(err.Error(), "no user "+ada.String()) {
			t.Errorf("got %v", err)
		}
	})
}

// A link that fails at Coder can be repeated, or heals at the next mint.
func TestLinkIsKilledBeforeActivation(t *testing.T) {
	t.Parallel()
	w, c := conflict(t, formerAccount)
	c.Advance(time.Hour)
	w.reconcile(t, w.reconciler(), reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1})
	remove := w.coder.Fail(codertest.Fault{Method: "PUT", Path: "/users/*/status/activate", Status: 500})
	if _, err := w.link(t, "b0bb0bb0"); err == nil || !strings.Contains(err.Error(), "the next mint activates") {
		t.Errorf("got %v", err)
	}
	remove()
	w.wantWorkingKey(t, w.mintAda(t), "ada@example.com")
}

// The operator thinks, and meanwhile the world changes.
func TestLinkPlansAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arrange func(*testing.T, *world)
		name    string
		change  func(*testing.T, *world)
	}{
		"it rose": {ownAccount, "lovelace", func(_ *testing.T, w *world) { w.coder.SetRoles("lovelace", "owner") }},
		"its former user is back": {formerAccount, "b0bb0bb0", func(t *testing.T, w *world) {
			w.db.Exec(t, `insert into auth.users (id, email) values ($1, 'bob@example.com')`, bob)
		}},
		"it had a user": {ownAccount, "lovelace", func(t *testing.T, w *world) {
			user, _ := w.coder.User("lovelace")
			w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, coder_username) values ($1, $2, 'lovelace')`, bob, user.ID)
		}},
		"it was not made by us after all": {formerAccount, "b0bb0bb0", func(t *testing.T, w *world) {
			w.db.Exec(t, `update coderhook.accounts set linked = true where user_id = $1`, bob)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := conflict(t, test.arrange)
			r := w.reconciler()
			plan, err := r.PlanLink(t.Context(), ada, test.name)
			if err != nil {
				t.Fatal(err)
			}
			test.change(t, w)
			if err := r.Link(t.Context(), plan, "root"); err == nil || !strings.Contains(err.Error(), "changed since you were asked; nothing was done") {
				t.Errorf("got %v", err)
			}
			if got := w.account(t, ada); got.CoderUserID != uuid.Nil || len(w.coder.TokensOf(test.name)) != 1 {
				t.Errorf("done all the same: %v", got)
			}
		})
	}
}
