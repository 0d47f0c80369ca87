package hook

import (
	"strings"
	"testing"
	"time"

	"coderhook/hook/authtest"
	"coderhook/hook/keyring"
	"coderhook/hook/reconcile"
	"coderhook/store"

	"github.com/google/uuid"
)

// moved is a world where Bob had an account with the address ada@example.com, then another address in Supabase,
// and Ada has that one now.
func moved(t *testing.T) (w *world, c *authtest.Clock, bobsKey string) {
	t.Helper()
	s := sealing()
	s.options.RetryConflict = 0
	w, c = clocked(t, s)
	w.db.Exec(t, `insert into auth.users (id, email) values ($1, 'ada@example.com')`, bob)
	bobsKey = w.mint(t, bob, "ada@example.com").key(t)
	w.settled()
	w.db.Exec(t, `update auth.users set email = 'bob@example.com'`)
	w.addAda(t)
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
		t.Fatalf("no conflict: %s", got.body)
	}
	w.settled()
	c.Advance(time.Minute)
	return w, c, bobsKey
}

func (w *world) move(t *testing.T, from uuid.UUID) (reconcile.LinkPlan, error) {
	t.Helper()
	r := w.reconciler()
	plan, err := r.PlanMove(t.Context(), ada, "b0bb0bb0", from)
	if err != nil {
		return plan, err
	}
	return plan, r.Link(t.Context(), plan, "root")
}

// The conflict names who holds the account.
func TestTheHolderOfAnAddressIsNamed(t *testing.T) {
	t.Parallel()
	w, _, _ := moved(t)
	want := "(Coder user b0bb0bb0, of Supabase user " + bob.String() + ")"
	if got := w.account(t, ada).LastError; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := keyring.WaysOut(w.account(t, ada)); !strings.Contains(got, "coderhook link --user "+ada.String()) || !strings.Contains(got, "--from UUID") {
		t.Errorf("ways out: %s", got)
	}
	if got := keyring.WaysOut(w.account(t, bob)); got != "" {
		t.Errorf("ways out for Bob: %s", got)
	}
}

func TestMoveAnAccountBetweenTwoWhoAreThere(t *testing.T) {
	t.Parallel()
	w, c, bobsKey := moved(t)
	own := w.coder.AddToken("b0bb0bb0", "his-own", 30*authtest.Day)
	if _, err := w.move(t, uuid.Nil); err == nil || !strings.Contains(err.Error(), "--from "+bob.String()) {
		t.Errorf("not on purpose: %v", err)
	}
	if _, err := w.move(t, uuid.New()); err == nil || !strings.Contains(err.Error(), "is not that of") {
		t.Errorf("from somebody else: %v", err)
	}
	plan, err := w.move(t, bob)
	if err != nil || !plan.Moved || !strings.Contains(plan.String(), bob.String()) || !strings.Contains(plan.String(), ada.String()) {
		t.Fatalf("%v, %v", plan, err)
	}
	for _, key := range []string{bobsKey, own.Whole} {
		if _, err := w.client.Me(t.Context(), key); err == nil {
			t.Error("a key of Bob's still opens the account")
		}
	}
	adas := w.mintAda(t)
	w.wantWorkingKey(t, adas, "ada@example.com")
	w.settled()
	if got := w.account(t, ada); got.CoderUsername != "b0bb0bb0" || got.Seal != store.SealGood {
		t.Errorf("%v", got)
	}
	c.Advance(time.Minute)
	bobs := w.mint(t, bob, "bob@example.com").key(t)
	w.wantWorkingKey(t, bobs, "bob@example.com")
	w.settled()
	if got := w.account(t, bob); got.CoderUsername == "b0bb0bb0" || got.CoderUserID == uuid.Nil || got.Seal != store.SealGood {
		t.Errorf("%v", got)
	}
	w.reconcile(t, w.reconciler(), reconcile.Summary{})
	w.wantWorkingKey(t, adas, "ada@example.com")
}

func TestMoveRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ arrange, want string }{
		"who still has the address": {`update auth.users set email = 'eve@example.com' where email = 'ada@example.com'; update auth.users set email = 'ada@example.com' where email = 'bob@example.com'`, "still has its address"},
		"who has not the address":   {`update auth.users set email = 'eve@example.com' where email = 'ada@example.com'`, "is not that of " + ada.String()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, bobsKey := moved(t)
			w.db.Script(t, c.arrange)
			if _, err := w.move(t, bob); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			w.wantWorkingKey(t, bobsKey, "ada@example.com")
		})
	}
}
