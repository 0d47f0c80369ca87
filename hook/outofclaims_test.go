package hook

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/keyring"
	"coderhook/hook/provision"
	"coderhook/hook/reconcile"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// outOfClaims is KEY_IN_CLAIMS=false.
func outOfClaims(s settings) settings {
	s.options.OutOfClaims = true
	return s
}

// wantUnseen checks whether the ledger says that no token has carried the user's key.
func (w *world) wantUnseen(t testing.TB, user uuid.UUID, want bool) {
	t.Helper()
	if a := w.account(t, user); a.KeyUnseen != want || a.KeyID == "" {
		t.Errorf("%v, unseen: %t", a, a.KeyUnseen)
	}
}

// The token says that there is a key, and every other byte is as it came, but for a key of old. All else goes on.
func TestKeyStaysOutOfClaims(t *testing.T) {
	t.Parallel()
	w, _ := clocked(t, outOfClaims(profileNew()))
	w.addAda(t)
	body := w.eventOf(t, ada, "ada@example.com")
	_, want, _ := bytes.Cut(body, []byte(`"claims":`))
	want = bytes.Replace(want[:bytes.LastIndex(want, []byte(`,"user_id"`))], []byte(`"api_key":"stale-key-of-old"`), []byte(`"api_key_status":"ready"`), 1)
	for i, reason := range []string{"key made", "key found"} {
		calls := len(w.coder.Requests())
		got := w.post(t, body, authtest.Sign(t, authtest.SecretA, uuid.NewString(), w.Now(), body))
		w.settled()
		if string(got.body) != `{"claims":`+string(want)+`}` {
			t.Errorf("got  %s\nwant %s", got.body, want)
		}
		key := w.stored(t, ada)
		w.wantWorkingKey(t, key, "ada@example.com")
		w.wantUnseen(t, ada, true)
		if log := w.log.String(); !strings.Contains(log, `"outcome":"ready","reason":"`+reason+`"`) {
			t.Errorf("no such line: %s", reason)
		}
		if now := len(w.coder.Requests()); i > 0 && now != calls+1 { // that of wantWorkingKey
			t.Errorf("%d calls of Coder", now-calls)
		}
	}
	w.wantOneUser(t, 1)
}

// Why there is no key is told as ever, and a sign-in refused where that is wanted.
func TestStatusesOutOfClaims(t *testing.T) {
	t.Parallel()
	s := outOfClaims(patient())
	s.server = func(s *Server) { s.Policy.RequireAAL = "aal1" }
	w := newWorld(t, s)
	w.addAda(t)
	eve := w.db.AddUser(t, "eve@example.com")
	w.coder.AddUser("taken", "eve@example.com", "password")
	if got := w.mint(t, eve, "eve@example.com"); got.keyStatus(t) != "conflict" || got.key(t) != "" {
		t.Errorf("got %s", got.body)
	}
	up := w.coder.Fail(codertest.Fault{Status: 500})
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "unavailable" || got.key(t) != "" {
		t.Errorf("got %s", got.body)
	}
	s.server = func(s *Server) { s.RejectOnError = true }
	if got := w.start(t, s).mint(t, ada, "ada@example.com"); !strings.Contains(string(got.body), `"http_code":503`) {
		t.Errorf("got %s", got.body)
	}
	up()
	eventually(t, "ready", func() bool { return w.mint(t, ada, "ada@example.com").keyStatus(t) == "ready" })
}

// A key that was given out is replaced after the next mint, lives on for as long as a token can carry it, and is then
// deleted. Its successor is left alone.
func TestKeysAreTakenOutOfClaims(t *testing.T) {
	t.Parallel()
	w, c, first := newbie(t, profileNew())
	w.wantUnseen(t, ada, false)
	s := outOfClaims(profileNew())
	s.clock = c
	without := w.start(t, s)
	if got := without.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "ready" || got.key(t) != "" {
		t.Fatalf("got %s", got.body)
	}
	without.settled()
	second := w.stored(t, ada)
	if second == first {
		t.Fatal("the key that tokens carry is still the user's")
	}
	w.wantUnseen(t, ada, true)
	w.wantWorkingKey(t, first, "ada@example.com")
	w.wantWorkingKey(t, second, "ada@example.com")
	if n := storetest.Query[int](t, w.db, `select count(*) from coderhook.audit where action = 'key-made' and detail = 'withdrawal'`); n != 1 {
		t.Errorf("%d rows in the audit trail", n)
	}
	c.Advance(75 * time.Minute)
	without.mint(t, ada, "ada@example.com")
	without.settled()
	if got := w.tokensOfAda(); len(got) != 1 || got[0].Whole != second {
		t.Errorf("left are %d tokens", len(got))
	}
}

// Whoever never comes back is looked after by reconciling, which can be broken off: what is done is not done again.
func TestReconcileTakesKeysOutOfClaims(t *testing.T) {
	t.Parallel()
	w, c, first := newbie(t, profileNew())
	bob, eve := w.db.AddUser(t, "bob@example.com"), w.db.AddUser(t, "eve@example.com")
	w.mint(t, bob, "bob@example.com")
	w.mint(t, eve, "eve@example.com")
	w.settled()
	w.reconcile(t, w.reconciler(), reconcile.Summary{}) // tokens carry keys
	w.db.Exec(t, `update coderhook.accounts set status = 'conflict' where user_id = $1`, eve)
	w.db.Exec(t, `update coderhook.accounts set lease_owner = 'somebody', lease_until = now() + interval '1 hour' where user_id = $1`, bob)
	s := outOfClaims(profileNew())
	s.clock = c
	without := w.start(t, s)
	r := w.reconcilerOf(without)
	if got, err := r.Reconcile(t.Context(), true); err != nil || got.Withdrawn != 1 || got.GivenOut != 1 || w.stored(t, ada) != first {
		t.Errorf("dry: %s, %v", got, err)
	}
	w.reconcile(t, r, reconcile.Summary{Withdrawn: 1, Busy: 1})
	without.settled()
	w.wantUnseen(t, ada, true)
	w.wantUnseen(t, bob, false)
	w.wantWorkingKey(t, first, "ada@example.com")
	w.db.Exec(t, `update coderhook.accounts set lease_until = null where user_id = $1`, bob)
	w.reconcile(t, r, reconcile.Summary{Withdrawn: 1})
	without.settled()
	w.wantUnseen(t, bob, true)
	c.Advance(75 * time.Minute)
	w.reconcile(t, r, reconcile.Summary{Tokens: 2})
	if _, err := w.client.Me(t.Context(), first); !errors.Is(err, coderclient.ErrUnauthorized) {
		t.Errorf("the key that was given out: %v", err)
	}
	w.wantWorkingKey(t, w.stored(t, ada), "ada@example.com")
}

// While Coder limits or is down, reconciling leaves keys as they are, and says how many.
func TestReconcileTakesNoKeyWithoutANewOne(t *testing.T) {
	t.Parallel()
	w, c, first := newbie(t, profileNew())
	s := outOfClaims(profileNew())
	s.clock = c
	r := w.reconcilerOf(w.start(t, s))
	waits := 0
	r.Wait = func(context.Context, time.Duration) error { waits++; return nil }
	up := w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users/*/keys/tokens", Status: 429, Header: map[string][]string{"Retry-After": {"1"}}})
	got, err := r.Reconcile(t.Context(), false)
	if err != nil || got.Withdrawn != 0 || got.GivenOut != 1 || got.Failed != 1 || waits == 0 {
		t.Errorf("%s, %v, waited %d times", got, err, waits)
	}
	up()
	if w.stored(t, ada) != first {
		t.Error("the key is gone")
	}
	w.wantWorkingKey(t, first, "ada@example.com")
}

// A replica that puts keys into tokens beside one that does not, as during a change: whatever order users come in, a key
// that was in a token is known as that, and is replaced.
func TestReplicasThatDisagree(t *testing.T) {
	t.Parallel()
	w, c := clocked(t, outOfClaims(profileNew()))
	w.addAda(t)
	s := profileNew()
	s.clock = c
	with, without := w.start(t, s), w.replica
	without.mint(t, ada, "ada@example.com")
	without.settled()
	w.wantUnseen(t, ada, true)
	given := make(map[string]bool)
	for range 3 {
		key := with.mint(t, ada, "ada@example.com").key(t)
		with.settled()
		if given[key] || key == "" {
			t.Fatalf("key %q was withdrawn", coderclient.KeyID(key))
		}
		given[key] = true
		w.wantUnseen(t, ada, false)
		if again := with.mint(t, ada, "ada@example.com").key(t); again != key {
			t.Error("changed back, the key is another one")
		}
		without.mint(t, ada, "ada@example.com")
		without.settled()
		w.wantUnseen(t, ada, true)
	}
}

// An older version knows nothing of the mark: the key that it stores counts as given out.
func TestKeyOfAnOlderVersionIsGivenOut(t *testing.T) {
	t.Parallel()
	w, _ := clocked(t, outOfClaims(profileNew()))
	w.addAda(t)
	w.mint(t, ada, "ada@example.com")
	w.settled()
	old := w.coder.AddToken("ada0ada0", ourToken, 7*authtest.Day)
	w.db.Exec(t, `update coderhook.accounts set key_id = $1, key_expires_at = $2`, old.ID, old.ExpiresAt)
	w.db.Exec(t, `update public.profiles set api_key = $1`, old.Whole)
	w.wantUnseen(t, ada, false)
	w.mint(t, ada, "ada@example.com")
	w.settled()
	if w.stored(t, ada) == old.Whole {
		t.Error("it was not replaced")
	}
	w.wantUnseen(t, ada, true)
}

// failingGiving can't write the mark.
type failingGiving struct{ keyring.Ledger }

func (failingGiving) GiveOut(context.Context, uuid.UUID, string) error { return store.ErrReadOnly }

// A key whose mark can't be taken away is in no token: after a crash nobody would know that it was.
func TestNoKeyWithoutTheMark(t *testing.T) {
	t.Parallel()
	w, c := clocked(t, outOfClaims(profileNew()))
	w.addAda(t)
	w.mint(t, ada, "ada@example.com")
	w.settled()
	s := profileNew()
	s.clock = c
	with := w.start(t, s)
	with.useLedger(failingGiving{w.store})
	if got := with.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "unavailable" || got.key(t) != "" {
		t.Errorf("got %s", got.body)
	}
	with.useLedger(w.store)
	if got := with.mint(t, ada, "ada@example.com").key(t); got != w.stored(t, ada) {
		t.Errorf("got %q", got)
	}
	w.wantUnseen(t, ada, false)
}

// Tokens of a user at the same time, of which some are to carry the key: what they carry is known as given out, whoever
// had it made, and whether another is made in its place by now or not.
func TestTokensThatDisagree(t *testing.T) {
	t.Parallel()
	w := newWorld(t, profileNew())
	for range 20 {
		user := w.db.AddUser(t, uuid.NewString()+"@example.com")
		var both sync.WaitGroup
		keys := make([]string, 4)
		for i := range keys {
			both.Go(func() {
				found := w.Keyring.Key(t.Context(), keyring.Wanted{
					User: user, Email: user.String() + "@example.com", Until: time.Now().Add(time.Hour), OutOfClaims: i%2 == 0,
				})
				found.Answered()
				if i%2 > 0 {
					keys[i] = found.Key
				}
				if found.Err != nil {
					t.Error(found.Err)
				}
			})
		}
		both.Wait()
		w.settled()
		if a := w.account(t, user); a.KeyUnseen && slices.Contains(keys, a.APIKey) {
			t.Errorf("%v was in a token", a)
		}
	}
}

// A token that is to carry a key which is just being stored as one that none carries waits for that, or goes without.
func TestTokenComesWhileTheKeyIsStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, outOfClaims(patient()))
	w.addAda(t)
	w.db.Exec(t, `insert into public.profiles (id) values ($1)`, ada)
	tx := w.db.Begin(t)
	tx.Exec(t, `update public.profiles set id = id where id = $1`, ada)
	w.mint(t, ada, "ada@example.com")
	eventually(t, "tried to store it", func() bool { return strings.Contains(w.log.String(), "key not stored yet") })
	wanted := keyring.Wanted{User: ada, Email: "ada@example.com", Until: time.Now().Add(time.Hour)}
	waiting, cancel := context.WithCancel(t.Context())
	cancel()
	found := w.Keyring.Key(waiting, wanted)
	found.Answered()
	if found.Key != "" || provision.StatusOf(found.Err) == provision.StatusConflict {
		t.Errorf("key %q, %v", coderclient.KeyID(found.Key), found.Err)
	}
	got := make(chan keyring.Result, 1)
	go func() { got <- w.Keyring.Key(t.Context(), wanted) }()
	tx.Exec(t, "commit")
	found = <-got
	found.Answered()
	w.settled()
	if found.Err != nil || found.Key != w.stored(t, ada) {
		t.Errorf("key %q, %v", coderclient.KeyID(found.Key), found.Err)
	}
	w.wantUnseen(t, ada, false)
}
