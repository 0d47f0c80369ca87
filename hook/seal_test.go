package hook

import (
	"strings"
	"testing"
	"time"

	"coderhook/hook/authtest"
	"coderhook/hook/reconcile"
	"coderhook/store"

	"github.com/google/uuid"
)

const ledgerSecret = "0123456789abcdef0123456789abcdef"

// sealing is a world whose ledger is sealed.
func sealing() settings {
	s := profileNew()
	s.secrets = []string{ledgerSecret}
	s.options.RetryConflict = time.Minute
	return s
}

// asRole does what whoever has the role's password can.
func (w *world) asRole(t *testing.T, sql string) {
	t.Helper()
	w.db.Script(t, `set role coderhook; `+sql)
}

// A sealed ledger works as any other, from the first key to the last.
func TestASealedLedgerServes(t *testing.T) {
	t.Parallel()
	w, c, first := newbie(t, sealing())
	c.Advance(5 * authtest.Day)
	w.mintAda(t)
	w.settled()
	if second := w.mintAda(t); second == first || second == "" {
		t.Error("not renewed")
	}
	w.settled()
	r := w.reconciler()
	w.db.Exec(t, banAda)
	w.reconcile(t, r, reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 2})
	w.db.Exec(t, unbanAda)
	w.reconcile(t, r, reconcile.Summary{Activated: 1})
	w.wantWorkingKey(t, w.mintAda(t), "ada@example.com")
	w.settled()
	if got := w.account(t, ada); got.Seal != store.SealGood {
		t.Errorf("%+v", got)
	}
}

// Whoever has the role's password makes himself another's account: he gets no key, and neither does anybody lose one.
func TestNobodyBorrowsAnAccount(t *testing.T) {
	t.Parallel()
	for name, attack := range map[string]string{
		"the owner's": `insert into coderhook.accounts (user_id, coder_user_id, coder_username, status) values ('{eve}', '{owner}', 'owner', 'active')`,
		"another user's": `update coderhook.accounts set coder_user_id = null where user_id = '{ada}';
			insert into coderhook.accounts (user_id, coder_user_id, coder_username, status, linked) values ('{eve}', '{adas}', 'ada0ada0', 'active', true)`,
		"with a seal of another's row": `update coderhook.accounts set coder_user_id = null where user_id = '{ada}';
			insert into coderhook.accounts (user_id, coder_user_id, status, seal) select '{eve}', '{adas}', 'active', seal from coderhook.accounts where user_id = '{ada}'`,
		"by taking a whole row": `update coderhook.accounts set user_id = '{eve}' where user_id = '{ada}'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c, key := newbie(t, sealing())
			eve := w.db.AddUser(t, "eve@example.com")
			owner, err := w.client.Me(t.Context(), w.coder.OwnerToken)
			if err != nil {
				t.Fatal(err)
			}
			w.asRole(t, strings.NewReplacer("{eve}", eve.String(), "{ada}", ada.String(), "{owner}", owner.ID.String(), "{adas}", w.adaInCoder(t).ID.String()).Replace(attack))
			for range 2 {
				if got := w.mint(t, eve, "eve@example.com"); got.key(t) != "" || got.keyStatus(t) != "conflict" {
					t.Errorf("got %s", got.body)
				}
				w.settled()
			}
			w.wantCounts(t, "coderhook_distrusted_rows_total", map[string]float64{"": 2})
			if got := w.account(t, eve); got.Status != store.Conflict || !strings.Contains(got.LastError, "the ledger row") {
				t.Errorf("the ledger says %v: %s", got, got.LastError)
			}
			c.Advance(time.Hour)
			w.db.Exec(t, `delete from auth.users where id = $1`, eve)
			if sum, err := w.reconciler().Reconcile(t.Context(), false); err != nil || sum.Offboarded > 0 || sum.Failed != 1 {
				t.Errorf("%s, %v", sum, err)
			}
			w.wantWorkingKey(t, key, "ada@example.com")
		})
	}
}

// An operator suspended her in Coder; a row that says it was us activates nobody.
func TestNobodyIsActivatedByALine(t *testing.T) {
	t.Parallel()
	w, c, _ := newbie(t, sealing())
	w.coder.SuspendUser("ada0ada0")
	w.asRole(t, `update coderhook.accounts set suspended_by_us = true, status = 'offboarded', key_refused_at = now()`)
	c.Advance(time.Hour)
	if sum, err := w.reconciler().Reconcile(t.Context(), false); err != nil || sum.Activated > 0 || sum.Failed != 1 {
		t.Errorf("%s, %v", sum, err)
	}
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
		t.Errorf("got %s", got.body)
	}
	w.settled()
	if got := w.adaInCoder(t).Status; got != "suspended" {
		t.Errorf("she is %s", got)
	}
}

// Rows of before LEDGER_SECRET get their seal by a command, and doubtful ones only by name.
func TestSealing(t *testing.T) {
	t.Parallel()
	s := profileNew()
	w, c, key := newbie(t, s)
	linked, eve := w.db.AddUser(t, "linked@example.com"), w.db.AddUser(t, "eve@example.com")
	theirs, lovelace := w.coder.AddUser("theirs", "theirs@example.com", "none"), w.coder.AddUser("lovelace", "lovelace@example.com", "none")
	w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, linked) values ($1, $2, true)`, linked, lovelace.ID)
	w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id) values ($1, $2)`, eve, theirs.ID)
	w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id) values ($1, $2)`, uuid.New(), uuid.New())
	s.secrets, s.clock = []string{ledgerSecret}, c
	w.replica = w.start(t, s)
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
		t.Errorf("believed without a seal: %s", got.body)
	}
	w.settled()
	var told []string
	sealing := &reconcile.Sealing{Reconciler: w.reconciler()}
	run := func(wantSealed, wantDoubtful int) {
		t.Helper()
		told = nil
		sealed, doubtful, err := sealing.Run(t.Context(), func(line string) { told = append(told, line) })
		if err != nil || sealed != wantSealed || doubtful != wantDoubtful || len(told) != doubtful {
			t.Errorf("%d sealed, %d doubtful, %v: %q", sealed, doubtful, err, told)
		}
	}
	run(1, 3)
	if all := strings.Join(told, "\n"); !strings.Contains(all, "was linked") || !strings.Contains(all, "theirs is not named") || !strings.Contains(all, "Coder has no user") {
		t.Errorf("told: %s", all)
	}
	if n, err := sealing.Count(t.Context()); err != nil || n != (reconcile.Seals{Good: 1, None: 3}) {
		t.Errorf("%+v, %v", n, err)
	}
	sealing.Only = linked
	run(1, 0)
	c.Advance(2 * time.Minute)
	if got := w.mintAda(t); got != key {
		t.Errorf("got %q, want the key that was there", got)
	}
	w.settled()
}

// Somebody who can write into retired_keys names tokens that are not ours: they stay.
func TestOnlyOurTokensAreDeleted(t *testing.T) {
	t.Parallel()
	w, c, _ := newbie(t, profileNew())
	w.coder.AddUser("root", "root@example.com", "password", "owner")
	ci, own := w.coder.AddToken("root", "ci", 30*authtest.Day), w.coder.AddToken("ada0ada0", "her-own", 30*authtest.Day)
	ours := w.coder.AddToken("ada0ada0", ourToken, 30*authtest.Day)
	root, _ := w.coder.User("root")
	bob := w.coder.AddUser("bob", "bob@example.com", "password") // without roles, which would save him, too
	bobs := w.coder.AddToken("bob", "his-own", 30*authtest.Day)
	retire := func(key string, user, coderUser uuid.UUID) {
		w.db.Exec(t, `insert into coderhook.retired_keys values ($1, $2, $3, now() - interval '1 hour')`, key, user, coderUser)
	}
	retire(ci.ID, ada, root.ID)
	retire(bobs.ID, ada, bob.ID)
	retire(ours.ID, ada, w.adaInCoder(t).ID)
	c.Advance(time.Hour)
	w.mintAda(t)
	w.settled()
	if left := w.coder.TokensOf("root"); len(left) != 1 {
		t.Error("the owner's token was deleted")
	}
	if left := w.coder.TokensOf("bob"); len(left) != 1 {
		t.Error("another user's token was deleted")
	}
	for _, left := range w.tokensOfAda() {
		if left.ID == ours.ID {
			t.Error("ours is still there")
		}
	}
	if left, err := w.store.Retired(t.Context(), ada); err != nil || len(left) > 0 {
		t.Errorf("still retired: %v, %v", left, err)
	}
	if !strings.Contains(w.log.String(), "somebody else wrote that row") {
		t.Error("nothing in the log")
	}
	retire(own.ID, ada, w.adaInCoder(t).ID) // as an adopted one would be
	w.reconcile(t, w.reconciler(), reconcile.Summary{Tokens: 1})
	// An account of hers that has a role is not hers to lose tokens, seal or not.
	w.db.Exec(t, `update coderhook.accounts set coder_user_id = $2 where user_id = $1`, ada, root.ID)
	retire(ci.ID, ada, root.ID)
	if _, err := w.reconciler().Reconcile(t.Context(), false); err != nil {
		t.Error(err)
	}
	if left := w.coder.TokensOf("root"); len(left) != 1 {
		t.Error("the owner's token was deleted")
	}
}
