package hook

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/reconcile"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

func (w *world) revoker() *reconcile.Revoker {
	return &reconcile.Revoker{Reconciler: w.reconciler(), Book: w.store, Ender: w.client, Actor: "root", Why: "a laptop was stolen"}
}

func (w *world) revokeAda(t *testing.T, r *reconcile.Revoker) reconcile.Revocation {
	t.Helper()
	done, err := r.Revoke(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	w.settled()
	return done
}

// audited are the actions that the audit trail has.
func (w *world) audited(t *testing.T) []string {
	t.Helper()
	return storetest.QueryAll[string](t, w.db, `select distinct action from coderhook.audit`)
}

// wantDead says that Coder does not take the key.
func (w *world) wantDead(t *testing.T, key string) {
	t.Helper()
	if _, err := w.client.Me(t.Context(), key); !errors.Is(err, coderclient.ErrUnauthorized) {
		t.Errorf("key %s: %v", coderclient.KeyID(key), err)
	}
}

func TestRevokeEndsTheKeyAndMakesANewOne(t *testing.T) {
	t.Parallel()
	for _, s := range []settings{patient(), profileNew()} {
		w, _, stolen := newbie(t, s)
		w.coder.AddToken("ada0ada0", "her-own", 30*authtest.Day)
		done := w.revokeAda(t, w.revoker())
		want := reconcile.Revocation{User: ada, Account: "ada0ada0", Ours: 1, Left: 1}
		if done != want {
			t.Errorf("%+v", done)
		}
		w.wantDead(t, stolen)
		key := w.mintAda(t)
		if key == stolen || key != w.stored(t, ada) {
			t.Errorf("minted %s, stored %s", coderclient.KeyID(key), coderclient.KeyID(w.stored(t, ada)))
		}
		w.wantWorkingKey(t, key, "ada@example.com")
		said := storetest.Query[string](t, w.db, `select actor || ': ' || detail from coderhook.audit where action = 'revoked' and key_id = '`+coderclient.KeyID(stolen)+`'`)
		if said != "root: a laptop was stolen" {
			t.Errorf("audit: %q", said)
		}
	}
}

func TestRevokeAllEndsWhatAStolenKeyMade(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]settings{"none": patient(), "password": profileNew()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, stolen := newbie(t, s)
			owner := w.adaInCoder(t)
			thief, err := coderclient.New(coderclient.Config{URL: w.coder.URL, Token: func() string { return stolen }, Scope: "all", CallTimeout: time.Minute, HTTPClient: ownConnections(t)})
			if err != nil {
				t.Fatal(err)
			}
			lasting, err := thief.CreateToken(t.Context(), owner.ID, coderclient.NewToken{Name: "innocent", Lifetime: 100 * 365 * authtest.Day})
			if err != nil {
				t.Fatal(err)
			}
			r := w.revoker()
			r.All = true
			if done := w.revokeAda(t, r); done.Ours != 1 || done.Others != 1 || done.Left != 0 || done.Sessions != (name == "password") || done.NoNewKey != nil {
				t.Errorf("%+v", done)
			}
			w.wantDead(t, stolen)
			w.wantDead(t, lasting)
			w.wantWorkingKey(t, w.mintAda(t), "ada@example.com")
			w.wantOneUser(t, 1)
		})
	}
}

// A thief who makes tokens without a pause must not outrun us, either.
func TestRevokeAllOutrunsAThief(t *testing.T) {
	t.Parallel()
	w, _, stolen := newbie(t, patient())
	owner := w.adaInCoder(t)
	var mu sync.Mutex
	current, made := stolen, 0
	thief, err := coderclient.New(coderclient.Config{
		URL: w.coder.URL, Scope: "all", CallTimeout: time.Minute, HTTPClient: ownConnections(t),
		Token: func() string { mu.Lock(); defer mu.Unlock(); return current },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	began := make(chan struct{})
	running.Go(func() {
		for ctx.Err() == nil {
			key, err := thief.CreateToken(ctx, owner.ID, coderclient.NewToken{Name: uuid.NewString(), Lifetime: authtest.Day})
			if err != nil {
				continue
			}
			mu.Lock()
			if current, made = key, made+1; made == 3 {
				close(began)
			}
			mu.Unlock()
		}
	})
	<-began
	r := w.revoker()
	r.All = true
	w.revokeAda(t, r)
	mu.Lock()
	key := current
	mu.Unlock()
	w.wantDead(t, key)
	cancel()
	running.Wait()
	w.wantOneUser(t, 1)
	if got := w.adaInCoder(t); got.Status == "suspended" {
		t.Error("she is suspended")
	}
	w.wantWorkingKey(t, w.mintAda(t), "ada@example.com")
}

func TestRevokeOfSomebodyWhoLeft(t *testing.T) {
	t.Parallel()
	w, _, stolen := newbie(t, patient())
	w.db.Exec(t, banAda)
	if done := w.revokeAda(t, w.revoker()); !errors.Is(done.NoNewKey, reconcile.ErrNotLiving) || !strings.Contains(done.String(), "banned") {
		t.Errorf("%s", done)
	}
	w.wantDead(t, stolen)
	w.wantOneUser(t, 0)
	if _, err := w.revoker().Revoke(t.Context(), uuid.New()); !errors.Is(err, reconcile.ErrNothingToRevoke) {
		t.Errorf("a stranger: %v", err)
	}
	if n := storetest.Query[int](t, w.db, `select count(*) from coderhook.accounts`); n != 1 {
		t.Errorf("%d accounts", n)
	}
}

// The key that an older deployment wrote is in as many hands as any.
func TestRevokeOfAKeyThatTheLedgerDoesNotKnow(t *testing.T) {
	t.Parallel()
	w, _ := clocked(t, patient())
	w.addAda(t)
	w.coder.AddUser("lovelace", "ada@example.com", "none")
	old := w.coder.AddToken("lovelace", "by-hand", 30*authtest.Day)
	w.profileKey(t, old.Whole)
	if done := w.revokeAda(t, w.revoker()); done.Ours != 1 || done.NoNewKey == nil {
		t.Errorf("%+v", done)
	}
	w.wantDead(t, old.Whole)
	if answer := w.mint(t, ada, "ada@example.com"); strings.Contains(string(answer.body), old.Whole) {
		t.Error("it is handed out")
	}
}

func TestRevokeGoesOnWhereItWasBrokenOff(t *testing.T) {
	t.Parallel()
	w, _ := clocked(t, patient())
	w.addAccounts(t, 5)
	r := w.revoker()
	var first []uuid.UUID
	ctx, cancel := context.WithCancel(t.Context())
	err := r.Everybody(ctx, false, func(done reconcile.Revocation, err error) {
		if err != nil {
			t.Error(err)
		}
		if first = append(first, done.User); len(first) == 2 {
			cancel() // as by a signal
		}
	})
	if err == nil {
		t.Fatal("it ended well")
	}
	var second []uuid.UUID
	if err := r.Everybody(t.Context(), false, func(done reconcile.Revocation, _ error) { second = append(second, done.User) }); err != nil {
		t.Fatal(err)
	}
	if n := len(first) + len(second); n < 5 || n > 6 { // the one at hand may be done twice
		t.Errorf("first %v, then %v", first, second)
	}
	again := 0
	if err := r.Everybody(t.Context(), false, func(reconcile.Revocation, error) { again++ }); err != nil || again != 5 {
		t.Errorf("after the end it begins anew: %d, %v", again, err)
	}
}

func TestRevokeIsOnesAtATime(t *testing.T) {
	t.Parallel()
	w, _ := clocked(t, patient())
	if _, err := w.store.ClaimTask(t.Context(), store.Task{Name: reconcile.RevokeTask, Owner: "other"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := w.revoker().Everybody(t.Context(), false, func(reconcile.Revocation, error) {}); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("%v", err)
	}
}

func TestRevokeStopsWhenCoderIsDown(t *testing.T) {
	t.Parallel()
	w, _ := clocked(t, patient())
	w.addAccounts(t, 8)
	heal := w.coder.Fail(codertest.Fault{Method: http.MethodGet, Path: "/users/*", Status: 500, Body: `{"message":"No."}`})
	failed := 0
	err := w.revoker().Everybody(t.Context(), false, func(_ reconcile.Revocation, err error) { failed++ })
	if err == nil || !strings.Contains(err.Error(), "goes on from here") || failed == 0 || failed > reconcile.UnavailableInARow {
		t.Errorf("after %d: %v", failed, err)
	}
	heal()
	eventually(t, "Coder is back", func() bool { return w.client.Probe(t.Context()) == nil && w.client.Available() })
	done := 0
	if err := w.revoker().Everybody(t.Context(), false, func(reconcile.Revocation, error) { done++ }); err != nil || done != 8 {
		t.Errorf("then %d: %v", done, err)
	}
}
