package hook

import (
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/reconcile"
	"coderhook/store"

	"github.com/google/uuid"
)

// newbie gives Ada a key in a world whose clock the test moves.
func newbie(t *testing.T, s settings) (w *world, c *authtest.Clock, key string) {
	t.Helper()
	w, c = clocked(t, s)
	w.addAda(t)
	key = w.mintAda(t)
	w.settled()
	if key == "" || w.stored(t, ada) != key {
		t.Fatalf("stored %q of %q", w.stored(t, ada), key)
	}
	return w, c, key
}

func (w *world) mintAda(t testing.TB) string {
	t.Helper()
	return w.mint(t, ada, "ada@example.com").key(t)
}

func profileNew() settings {
	s := patient()
	s.profile = codertest.ProfileNew
	return s
}

// The old key is handed out while the new one is made, lives on for as long as a token can
// carry it, and is then deleted.
func TestRenewalAheadWithOverlap(t *testing.T) {
	t.Parallel()
	w, c, first := newbie(t, profileNew())
	c.Advance(7*authtest.Day*2/3 - time.Minute)
	if got := w.mintAda(t); got != first {
		t.Fatal("renewed before the window")
	}
	w.settled()
	w.wantOneUser(t, 1)

	c.Advance(2 * time.Minute)
	if got := w.mintAda(t); got != first {
		t.Fatal("inside the window the answer has to carry the old key")
	}
	w.settled()
	w.wantOneUser(t, 2)
	second := w.mintAda(t)
	if second == first || second != w.stored(t, ada) {
		t.Fatal("the key was not renewed")
	}
	w.wantWorkingKey(t, first, "ada@example.com")
	w.wantWorkingKey(t, second, "ada@example.com")

	c.Advance(time.Hour) // the last token with the old key has just died, but clocks differ
	w.mintAda(t)
	w.settled()
	w.wantOneUser(t, 2)
	c.Advance(15 * time.Minute)
	w.mintAda(t)
	w.settled()
	if got := w.tokensOfAda(); len(got) != 1 || got[0].Whole != second {
		t.Errorf("left are %d tokens", len(got))
	}
}

// An access token that lives for a week carries its key for a week.
func TestOverlapLastsAsLongAsTheLongestToken(t *testing.T) {
	t.Parallel()
	s := profileNew()
	s.options.TokenLifetime = 30 * authtest.Day
	w, c, first := newbie(t, s)
	claims := claimsAt(c.Now(), ada, "ada@example.com")
	claims["exp"] = c.Now().Add(6 * authtest.Day).Unix()
	w.mintClaims(t, ada, claims)
	w.settled()
	c.Advance(21 * authtest.Day)
	w.mintAda(t)
	w.settled()
	w.wantOneUser(t, 2)
	c.Advance(6 * authtest.Day)
	w.mintAda(t)
	w.settled()
	w.wantWorkingKey(t, first, "ada@example.com")
	c.Advance(30 * time.Minute)
	w.mintAda(t)
	w.settled()
	w.wantOneUser(t, 1)
}

// Up to Coder 2.34 a key that is used lives on: nothing is renewed that needs no renewal.
func TestSlidingExpiryIsReadBeforeRenewing(t *testing.T) {
	t.Parallel()
	w, c, first := newbie(t, patient())
	c.Advance(6 * authtest.Day)
	w.wantWorkingKey(t, first, "ada@example.com") // a use: it lives for seven days again
	for range 2 {
		if got := w.mintAda(t); got != first {
			t.Fatal("renewed")
		}
		w.settled()
	}
	w.wantOneUser(t, 1)
	if got := w.account(t, ada).KeyExpiresAt; got.Before(c.Now().Add(7*authtest.Day - time.Hour)) {
		t.Errorf("expires %s, which is not what Coder says", got)
	}
	if n := w.countCalls("GET", "/keys/"+coderclient.KeyID(first)); n != 2 { // at making and before renewing
		t.Errorf("asked %d times", n)
	}
}

// What the ledger takes for dead may have been kept alive by its use.
func TestSlidKeyThatTheLedgerTakesForDead(t *testing.T) {
	t.Parallel()
	w, c, first := newbie(t, patient())
	c.Advance(6 * authtest.Day)
	w.wantWorkingKey(t, first, "ada@example.com")
	c.Advance(2 * authtest.Day)
	if got := w.mintAda(t); got != first {
		t.Error("a living key was replaced")
	}
	w.settled()
	w.wantOneUser(t, 1)
}

// Coder can't be reached inside the window: the old key serves, first in full, then for as long as it lives.
func TestRenewalWhileCoderIsDown(t *testing.T) {
	t.Parallel()
	s := impatient()
	s.profile = codertest.ProfileNew
	w, c, first := newbie(t, s)
	remove := w.coder.Fail(codertest.Fault{Status: 503})
	for _, at := range []time.Duration{5 * authtest.Day, 6 * authtest.Day, 7*authtest.Day - 30*time.Minute} {
		c.Advance(at - c.Now().Sub(w.account(t, ada).KeyExpiresAt.Add(-7*authtest.Day)))
		if got := w.mintAda(t); got != first {
			t.Errorf("after %s: %q", at, got)
		}
		w.settled()
	}
	remove()
	eventually(t, "Coder is asked again", func() bool { return w.client.Probe(t.Context()) == nil && w.client.Available() })
	if got := w.mintAda(t); got == first || got == "" {
		t.Error("not renewed in the request")
	}
	w.heals(t, ada)
}

// A key that ends while its successor is being made is no better than none.
func TestKeyThatEndsMeanwhileIsNotGivenOut(t *testing.T) {
	t.Parallel()
	s := impatient()
	s.profile = codertest.ProfileNew
	w, c, _ := newbie(t, s)
	c.Advance(7*authtest.Day - 10*time.Minute)
	w.coder.ForgetRequests()
	w.coder.Fail(codertest.Fault{Hang: true})
	got := make(chan string)
	go func() { got <- w.mintAda(t) }()
	eventually(t, "Coder is asked", func() bool { return len(w.coder.Requests()) > 0 })
	c.Advance(10 * time.Minute)
	if key := <-got; key != "" {
		t.Errorf("a dead key is given out: %q", coderclient.KeyID(key))
	}
}

func TestKeyThatCoderDoesNotTakeIsReplaced(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*world, string){
		"revoked":               func(w *world, key string) { w.coder.DeleteKey(coderclient.KeyID(key)) },
		"deleted with its user": func(w *world, _ string) { w.coder.DeleteUser("ada0ada0") },
		"suspended and then deleted": func(w *world, _ string) {
			w.coder.SuspendUser("ada0ada0")
			w.coder.DeleteUser("ada0ada0")
		},
		"its user has been made anew": func(w *world, _ string) {
			w.coder.DeleteUser("ada0ada0")
			w.coder.AddUser("ada0ada0", "ada@example.com", "none")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c, first := newbie(t, profileNew())
			end(w, first)
			c.Advance(time.Hour)
			if got := w.mintAda(t); got != first { // nothing is known yet
				t.Errorf("got %q", got)
			}
			w.settled()
			second := w.mintAda(t)
			if second == first || second == "" {
				t.Error("the dead key was handed out again")
			}
			w.wantWorkingKey(t, second, "ada@example.com")
			w.settled()
			w.wantOneUser(t, 1)
		})
	}
}

// By such a name Coder finds somebody else, or nobody: that does not mean that the account was deleted.
func TestWhoIsCalledLikeAnIDIsNotGone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ada0ada0111142228333444455556666", "me", "first"} {
		w, c, first := newbie(t, profileNew())
		w.coder.RenameUser("ada0ada0", name)
		w.coder.SuspendUser(name)
		c.Advance(time.Hour)
		w.mintAda(t)
		w.settled()
		for range 2 {
			if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
				t.Errorf("%s: got %s", name, got.body)
			}
			w.settled()
		}
		if users := w.coder.Users(); len(users) != 1 {
			t.Errorf("%s: another account was made: %+v", name, users)
		}
		if got := w.account(t, ada); got.CoderUserID == [16]byte{} || got.Status != store.Suspended {
			t.Errorf("%s: %v", name, got)
		}
		w.coder.ActivateUser(name)
		if got := w.mintAda(t); got != first {
			t.Errorf("%s: got %q once it is active, want the key that was there", name, got)
		}
		w.settled()
	}
}

// A renamed user keeps id and keys; the ledger learns the name.
func TestRenamedInCoder(t *testing.T) {
	t.Parallel()
	w, c, first := newbie(t, profileNew())
	w.coder.RenameUser("ada0ada0", "lovelace")
	c.Advance(time.Hour)
	w.mintAda(t)
	w.settled()
	if got := w.account(t, ada); got.CoderUsername != "lovelace" || got.APIKey != first {
		t.Errorf("got %v", got)
	}
	c.Advance(6*authtest.Day - time.Hour)
	w.mintAda(t)
	w.settled()
	if got := w.mintAda(t); got == first || got == "" {
		t.Error("not renewed under the new name")
	}
	w.wantOneUser(t, 2)
}

// The owner of an old server whose database stumbles gets 401 for a good key.
func TestOneRefusalIsNotEnough(t *testing.T) {
	t.Parallel()
	for name, times := range map[string]int{"once": 1, "for a while, for everybody": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c, first := newbie(t, profileNew())
			c.Advance(time.Hour)
			path := "/users/me"
			if times == 0 {
				path = ""
			}
			remove := w.coder.Fail(codertest.Fault{Path: path, Status: 401, Times: times, Body: `{"message":"You are signed out or your session has expired. Please sign in again to continue."}`})
			w.mintAda(t)
			w.settled()
			remove()
			if got := w.mintAda(t); got != first {
				t.Error("a good key was thrown away")
			}
		})
	}
}

// At most one check per interval and user, among all replicas.
func TestCheckInterval(t *testing.T) {
	t.Parallel()
	s := profileNew()
	s.clock = authtest.NewClock()
	w := newWorld(t, s)
	other := w.start(t, s)
	w.addAda(t)
	w.mintAda(t)
	w.settled()
	w.coder.ForgetRequests()
	for round := range 4 { // a new key has just been seen to work
		for range 4 {
			w.mintAda(t)
			other.mint(t, ada, "ada@example.com")
		}
		w.settled()
		other.settled()
		if n := w.countCalls("GET", "/users/me"); n != round {
			t.Errorf("%d checks, want %d", n, round)
		}
		s.clock.Advance(10 * time.Minute)
	}
}

// A suspended user is not re-armed, however often they sign in, and gets the old key back.
func TestSuspendedWhileTheKeyIsGood(t *testing.T) {
	t.Parallel()
	w, c, first := newbie(t, profileNew())
	w.coder.SuspendUser("ada0ada0")
	c.Advance(time.Hour)
	w.mintAda(t)
	w.settled()
	if got := w.status(t, ada); got != store.Suspended {
		t.Fatalf("status %s", got)
	}
	for range 3 {
		if got := w.mint(t, ada, "ada@example.com"); got.key(t) != "" || got.keyStatus(t) != "conflict" {
			t.Errorf("got %s", got.body)
		}
		w.settled()
	}
	w.wantOneUser(t, 1)
	w.coder.ActivateUser("ada0ada0")
	if got := w.mintAda(t); got != first {
		t.Errorf("got %q, want the old key", got)
	}
	w.settled()
	if got := w.status(t, ada); got != store.Active {
		t.Errorf("status %s", got)
	}
	w.wantOneUser(t, 1)
}

// profileKey puts a key into Ada's profile that the ledger does not know.
func (w *world) profileKey(t *testing.T, key string) {
	t.Helper()
	w.db.Exec(t, `insert into public.profiles (id, api_key) values ($1, $2)`, ada, key)
}

func TestKeyOfAnOlderDeploymentIsAdopted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		username string
		linked   bool
	}{"with our name": {"ada0ada0", false}, "with a name of its own": {"lovelace", true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c := clocked(t, profileNew())
			w.addAda(t)
			made := w.coder.AddUser(test.username, "ada@example.com", "password")
			key := w.coder.AddToken(test.username, "old", 30*authtest.Day)
			w.profileKey(t, key.Whole)
			if got := w.mintAda(t); got != key.Whole {
				t.Fatalf("got %q", got)
			}
			w.settled()
			got := w.account(t, ada)
			if got.KeyID != key.ID || !got.KeyExpiresAt.Equal(key.ExpiresAt) || got.KeyLifetime != 30*authtest.Day ||
				got.CoderUserID != made.ID || got.Linked != test.linked || got.Status != store.Active {
				t.Errorf("adopted %v: %+v", got, got.KeyExpiresAt)
			}
			c.Advance(25 * authtest.Day)
			w.mintAda(t)
			w.settled()
			if got := w.mintAda(t); got == key.Whole || got == "" {
				t.Error("not renewed in its window")
			}
		})
	}
}

func TestKeyInTheProfileThatIsNotTheUsers(t *testing.T) {
	t.Parallel()
	for name, arrange := range map[string]func(*testing.T, *world) string{
		"unknown to Coder": func(*testing.T, *world) string { return "AbCdEfGhIj-0123456789012345678901" },
		"of somebody else": func(_ *testing.T, w *world) string {
			w.coder.AddUser("eve", "eve@example.com", "password")
			return w.coder.AddToken("eve", "mine", 30*authtest.Day).Whole
		},
		"of an admin": func(_ *testing.T, w *world) string {
			w.coder.AddUser("ada0ada0", "root@example.com", "password", "user-admin")
			return w.coder.AddToken("ada0ada0", "mine", 30*authtest.Day).Whole
		},
		"the owner's": func(_ *testing.T, w *world) string { return w.coder.OwnerToken },
		"of another Supabase user's account": func(t *testing.T, w *world) string {
			bob := w.coder.AddUser("bob", "bob@example.com", "password")
			w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, status) values ($1, $2, 'active')`, uuid.New(), bob.ID)
			return w.coder.AddToken("bob", "mine", 30*authtest.Day).Whole
		},
		"of another Supabase user's account with our name": func(t *testing.T, w *world) string {
			bob := w.coder.AddUser("ada0ada0", "bob@example.com", "password")
			w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, status) values ($1, $2, 'active')`, uuid.New(), bob.ID)
			return w.coder.AddToken("ada0ada0", "mine", 30*authtest.Day).Whole
		},
		"of another Coder user than the ledger's": func(t *testing.T, w *world) string {
			w.coder.AddUser("ada0ada0", "old@example.com", "password")
			mine := w.coder.AddUser("lovelace", "ada@example.com", "password")
			w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, coder_username) values ($1, $2, 'lovelace')`, ada, mine.ID)
			return w.coder.AddToken("ada0ada0", "mine", 30*authtest.Day).Whole
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := clocked(t, profileNew())
			w.addAda(t)
			foreign := arrange(t, w)
			w.profileKey(t, foreign)
			w.mintAda(t)
			w.settled()
			own := w.mintAda(t)
			if own == foreign {
				t.Fatal("it was handed out again")
			}
			w.wantWorkingKey(t, own, "ada@example.com")
			w.settled()
			if w.stored(t, ada) != own {
				t.Error("the profile still has the old key")
			}
			if _, err := w.client.Me(t.Context(), foreign); name != "unknown to Coder" && err != nil {
				t.Errorf("a key that is not ours was touched: %v", err)
			}
		})
	}
}

// The holder of the lease was too slow, and another took over: its token, which an answer has
// carried, lives on until no access token can have it.
func TestTokenThatCameTooLateIsRetired(t *testing.T) {
	t.Parallel()
	w, c := clocked(t, profileNew())
	w.addAda(t)
	signUp := w.db.Begin(t)
	signUp.Exec(t, `insert into public.profiles (id) values ($1)`, ada)
	late := w.mintAda(t)
	w.db.Exec(t, `update coderhook.accounts set lease_owner = 'heir', lease_until = now() + interval '1 hour'`)
	signUp.Exec(t, "commit")
	w.settled()
	w.db.Exec(t, `update coderhook.accounts set lease_owner = null, lease_until = null`)
	w.wantWorkingKey(t, late, "ada@example.com")
	w.mintAda(t)
	w.settled()
	w.wantOneUser(t, 2)
	c.Advance(75 * time.Minute)
	w.mintAda(t)
	w.settled()
	w.wantOneUser(t, 1)
}

// The profile holds another key for a moment: access tokens still carry the one before.
func TestAdoptingDoesNotCutOffTheKeyBefore(t *testing.T) {
	t.Parallel()
	w, c, before := newbie(t, profileNew())
	c.Advance(2 * time.Hour)
	if w.mintAda(t) != before {
		t.Fatal("another key")
	}
	w.settled()
	w.db.Exec(t, "update public.profiles set api_key = $1", w.coder.AddToken("ada0ada0", "old-deployment", 30*authtest.Day).Whole)
	w.mintAda(t)
	w.settled()
	c.Advance(time.Minute)
	w.reconcile(t, w.reconciler(), reconcile.Summary{})
	w.wantWorkingKey(t, before, "ada@example.com")
	c.Advance(75 * time.Minute)
	w.reconcile(t, w.reconciler(), reconcile.Summary{Tokens: 1})
}

func (w *world) tokensOfAda() []codertest.Key { return w.coder.TokensOf("ada0ada0") }
