package hook

import (
	"strings"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// plant writes a key into Ada's profile past us, as who may update that table can.
func (w *world) plant(t *testing.T, key string) {
	t.Helper()
	w.db.Exec(t, `update public.profiles set api_key = $2 where id = $1`, ada, key)
}

// Whoever writes another key into a profile does not get it into the token.
func TestAPlantedKeyIsNotHandedOut(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]func(*world) string{
		"of an attacker's account": func(w *world) string {
			w.coder.AddUser("eve", "eve@example.com", "password")
			return w.coder.AddToken("eve", "mine", 30*authtest.Day).Whole
		},
		"of the user's own account": func(w *world) string { return w.coder.AddToken("ada0ada0", "mine", 30*authtest.Day).Whole },
		"of another user of ours": func(w *world) string {
			return w.mint(t, w.db.AddUser(t, "bob@example.com"), "bob@example.com").key(t)
		},
		"that nobody has": func(*world) string { return "AbCdEfGhIj-0123456789012345678901" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, own := newbie(t, profileNew())
			planted := other(w)
			w.settled()
			w.plant(t, planted)
			got := w.mintAda(t)
			w.settled()
			if got == planted || got == own || got == "" {
				t.Fatalf("the token carries %q, planted was %q", got, planted)
			}
			w.wantWorkingKey(t, got, "ada@example.com")
			if w.stored(t, ada) != got || w.mintAda(t) != got {
				t.Error("the new key is not the stored one")
			}
			if n := testutil.ToFloat64(w.Provisioner.Metrics.planted); n != 1 {
				t.Errorf("counted %v times", n)
			}
			if n := storetest.Query[int](t, w.db, `select count(*) from coderhook.audit where action = 'key-planted' and key_id = $1`, coderclient.KeyID(planted)); n != 1 {
				t.Errorf("%d rows in the audit trail", n)
			}
			if line := `"key_id":"` + coderclient.KeyID(planted) + `","own_key_id":"` + coderclient.KeyID(own) + `"`; !strings.Contains(w.log.String(), line) {
				t.Errorf("not in the log: %s", line)
			}
		})
	}
}

// A key that was replaced may still work, and be in many tokens of old.
func TestARetiredKeyThatIsPutBackIsNotHandedOut(t *testing.T) {
	t.Parallel()
	w, c, first := newbie(t, profileNew())
	c.Advance(7*authtest.Day*2/3 + time.Minute)
	w.mintAda(t)
	w.settled()
	second := w.stored(t, ada)
	if second == first {
		t.Fatal("not renewed")
	}
	w.plant(t, first)
	if got := w.mintAda(t); got == first || got == "" {
		t.Errorf("got %q", got)
	}
	w.settled()
}

// While Coder is away there is no other key, and the planted one stands in for nothing.
func TestAPlantedKeyIsNotHandedOutWhileCoderIsDown(t *testing.T) {
	t.Parallel()
	w, _, _ := newbie(t, profileNew())
	w.plant(t, "AbCdEfGhIj-0123456789012345678901")
	w.coder.Fail(codertest.Fault{Status: 502})
	if got := w.mint(t, ada, "ada@example.com"); got.key(t) != "" || got.keyStatus(t) != "unavailable" {
		t.Errorf("got %s", got.body)
	}
	w.settled()
}

// What was learnt of a key from before comes too late when the user has a key of their own.
func TestAdoptionDoesNotOverwriteAStoredKey(t *testing.T) {
	t.Parallel()
	w, c, own := newbie(t, profileNew())
	account := w.account(t, ada)
	old := w.coder.AddToken("ada0ada0", "old", 30*authtest.Day)
	err := w.store.Adopt(t.Context(), store.Adoption{
		UserID: ada, Key: store.Key{ID: old.ID, ExpiresAt: old.ExpiresAt}, CoderUser: account.CoderUserID, Username: "ada0ada0",
	})
	refused := w.store.RefuseUnknownKey(t.Context(), ada, old.ID, c.Now(), "late")
	if err == nil || refused == nil {
		t.Errorf("adopted: %v, refused: %v", err, refused)
	}
	if got := w.account(t, ada); got.KeyID != coderclient.KeyID(own) || got.KeyRefused {
		t.Errorf("the account has %v", got)
	}
}

// A table that keeps the old key gets no new one at every mint.
func TestAProfileThatKeepsTheOldKeyIsAConflict(t *testing.T) {
	t.Parallel()
	s := profileNew()
	s.options.RetryConflict = authtest.Day
	w, _ := clocked(t, s)
	w.addAda(t)
	w.db.Exec(t, `insert into public.profiles (id) values ($1)`, ada)
	w.db.Script(t, `create function keep() returns trigger language plpgsql as $$ begin new.api_key := old.api_key; return new; end $$;
		create trigger keep before update on public.profiles for each row execute function keep()`)
	w.mintAda(t)
	w.settled()
	for range 3 {
		if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
			t.Errorf("got %s", got.body)
		}
		w.settled()
	}
	w.wantOneUser(t, 1)
}
