package hook

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook/keyring"
	"coderhook/hook/metrics"
	"coderhook/hook/reconcile"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// watching runs what a replica does about who leaves, until stop is called or the test ends.
func (w *world) watching(t *testing.T, r *replica, run ...func(*reconcile.Reconciler, context.Context)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	reconciler := w.reconcilerOf(r)
	var running sync.WaitGroup
	for _, f := range run {
		running.Go(func() { f(reconciler, ctx) })
	}
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// promptly polls until the condition holds, however slow the machine, and logs how long it took.
func promptly(t *testing.T, what string, holds func() bool) {
	t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > patience {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Logf("%s after %.2f s", what, time.Since(began).Seconds())
}

// works reports whether Coder takes the key.
func (w *world) works(t *testing.T, key string) bool {
	t.Helper()
	_, err := w.client.Me(t.Context(), key)
	return err == nil
}

// waysToLeave are SQL: how Ada leaves, and how she comes back, if she can.
var waysToLeave = map[string]struct{ leave, back string }{
	"deleted":      {deleteAda, ""},
	"soft-deleted": {softlyAda, `update auth.users set deleted_at = null`},
	"banned":       {banAda, unbanAda},
}

// Whoever leaves is out at once, also who has just signed up, and who comes back is let in as quickly.
func TestWhoLeavesIsOutAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range waysToLeave {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, key := newbie(t, profileNew())
			w.watching(t, w.replica, (*reconcile.Reconciler).Watch)
			w.db.Exec(t, test.leave)
			promptly(t, name+": the key is dead", func() bool { return !w.works(t, key) })
			promptly(t, name+": the ledger knows", func() bool { return w.status(t, ada) == store.Offboarded })
			if got := w.adaInCoder(t); got.Status != "suspended" || len(w.tokensOfAda()) > 0 {
				t.Errorf("she is %s with %d tokens", got.Status, len(w.tokensOfAda()))
			}
			if test.back == "" {
				return
			}
			w.db.Exec(t, test.back)
			promptly(t, name+": she is back", func() bool { return w.adaInCoder(t).Status != "suspended" && !w.leased(t, ada) })
			w.wantWorkingKey(t, w.mintAda(t), "ada@example.com")
		})
	}
}

// What a replica has taken and not finished, as it was killed, another one takes up.
func TestDeparturesOutliveAReplica(t *testing.T) {
	t.Parallel()
	s := profileNew()
	s.options.LeaseTTL = 300 * time.Millisecond
	w, _, key := newbie(t, s)
	w.db.Exec(t, banAda)
	taken, err := w.store.TakeDepartures(t.Context(), 1, s.options.LeaseTTL)
	if err != nil || len(taken) != 1 {
		t.Fatalf("%v, %v", taken, err)
	}
	if err := w.store.Claim(t.Context(), store.Lease{UserID: ada, Owner: "killed"}, s.options.LeaseTTL); err != nil {
		t.Fatal(err)
	}
	w.watching(t, w.start(t, s), (*reconcile.Reconciler).Watch)
	promptly(t, "the key is dead", func() bool { return !w.works(t, key) })
}

// Whatever an off-boarding that was killed had done when the ban was lifted, the key that the next mint gives works.
func TestABanIsLiftedAfterAReplicaWasKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sql    string
		remove bool
	}{
		"suspended": {`select 1`, false},
		"deleted":   {`select 1`, true},
		"linked":    {`update coderhook.accounts set linked = true`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for calls, crashed := 1, true; crashed; calls++ {
				w, _, _ := newbie(t, profileNew())
				w.db.Exec(t, test.sql)
				w.db.Exec(t, banAda)
				life := &life{end: func() {}}
				life.crashAfter(calls, calls%2 == 0)
				ring, registry := w.mortal(life)
				mortal := keyring.NewReconciler(ring, mortalLedger{w.store, life}, mortalCoder{w.client, life}, mortalLedger{w.store, life}, registry)
				mortal.Interval, mortal.Delete = time.Hour, test.remove
				_ = mortal.TakeUp(t.Context())
				crashed = life.dead()
				if err := ring.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				w.db.Exec(t, unbanAda)
				w.db.Exec(t, `update coderhook.departures set next_try = now(), at = at - interval '1 minute'`)
				w.db.Exec(t, `update coderhook.accounts set lease_until = now() where lease_until is not null`)
				if err := w.reconciler().TakeUp(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := w.mint(t, ada, "ada@example.com"); got.key(t) == "" || !w.works(t, got.key(t)) {
					t.Errorf("after %d calls the mint gives %s, whose key does not work", calls, got.keyStatus(t))
				}
				w.settled()
			}
		})
	}
}

// Killed at any call, in Coder or in the database, nothing is lost.
func TestDeparturesAreKilledAnywhere(t *testing.T) {
	t.Parallel()
	for calls := 1; ; calls++ {
		w, _, _ := newbie(t, profileNew())
		workspace := w.coder.AddWorkspace("ada0ada0", "dev")
		w.db.Exec(t, banAda)
		life := &life{end: func() {}}
		life.crashAfter(calls, calls%2 == 0)
		ring, registry := w.mortal(life)
		mortal := keyring.NewReconciler(ring, mortalLedger{w.store, life}, mortalCoder{w.client, life}, mortalLedger{w.store, life}, registry)
		mortal.Interval = time.Hour
		_ = mortal.TakeUp(t.Context())
		crashed := life.dead()
		if err := ring.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		// By then it would have come up by itself, and the lease would have run out.
		w.db.Exec(t, `update coderhook.departures set next_try = now()`)
		w.db.Exec(t, `update coderhook.accounts set lease_until = now() where lease_until is not null`)
		if err := w.reconciler().TakeUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.coder.WorkspacesOf("ada0ada0")[0]; w.status(t, ada) != store.Offboarded || len(w.tokensOfAda()) > 0 ||
			w.adaInCoder(t).Status != "suspended" || got.ID != workspace.ID || got.Status != "stopped" {
			t.Fatalf("after %d calls: %s, %s in Coder with %d tokens, workspace %s", calls,
				w.status(t, ada), w.adaInCoder(t).Status, len(w.tokensOfAda()), got.Status)
		}
		if !crashed {
			t.Logf("%d calls", calls-1)
			return
		}
	}
}

// One whose account fails does not keep the others waiting, and is tried again.
func TestAPoisonedDepartureHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w, _ := clocked(t, profileNew())
	w.addAccounts(t, 6)
	w.db.Exec(t, `insert into auth.users (id) select user_id from coderhook.accounts`)
	poisoned, _ := w.coder.User("00000001")
	heal := w.coder.Fail(codertest.Fault{Method: "PUT", Path: "/users/" + poisoned.ID.String() + "/status/suspend", Status: 400, Body: `{"message":"No."}`})
	w.watching(t, w.replica, (*reconcile.Reconciler).Watch)
	w.db.Exec(t, banAda)
	promptly(t, "the others are out", func() bool { return w.suspended() == 5 })
	promptly(t, "the failure is kept", func() bool {
		return len(storetest.QueryAll[string](t, w.db, `select last_error from coderhook.departures where last_error like '%No.%' and tries > 0`)) == 1
	})
	heal()
	promptly(t, "it has healed", func() bool { return w.suspended() == 6 })
	promptly(t, "nothing is left", func() bool { n, _, err := w.store.PendingDepartures(t.Context()); return err == nil && n == 0 })
}

// While somebody is at work on the account the departure waits, and comes right after.
func TestDepartureWaitsForTheLease(t *testing.T) {
	t.Parallel()
	w, _, key := newbie(t, profileNew())
	lease := store.Lease{UserID: ada, Owner: "a mint"}
	if err := w.store.Claim(t.Context(), lease, time.Hour); err != nil {
		t.Fatal(err)
	}
	w.db.Exec(t, banAda)
	if err := w.reconciler().TakeUp(t.Context()); err != nil || !w.works(t, key) {
		t.Errorf("it did not wait: %v", err)
	}
	w.watching(t, w.replica, (*reconcile.Reconciler).Watch)
	if err := w.store.Release(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	promptly(t, "the key is dead", func() bool { return !w.works(t, key) })
}

// Whoever has the server's role can write departures. They do nothing to who is here, or was never here.
func TestForgedDeparturesDoNothing(t *testing.T) {
	t.Parallel()
	w, _, key := newbie(t, profileNew())
	w.coder.AddWorkspace("ada0ada0", "dev")
	for _, what := range []string{"deleted", "changed", "stop", "x", ""} {
		w.db.Script(t, `set role coderhook; insert into coderhook.departures (user_id, what) values ('`+ada.String()+`', '`+what+`'), (gen_random_uuid(), '`+what+`')`)
	}
	w.coder.ForgetRequests()
	if err := w.reconciler().TakeUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if calls := w.coder.Requests(); len(calls) > 0 {
		t.Errorf("Coder was asked: %v", calls)
	}
	if n, _, err := w.store.PendingDepartures(t.Context()); n != 0 || err != nil {
		t.Errorf("%d are left, %v", n, err)
	}
	w.wantWorkingKey(t, key, "ada@example.com")
	if got := w.mintAda(t); got != key {
		t.Errorf("she gets %q", got)
	}
	if w.coder.WorkspacesOf("ada0ada0")[0].Status != "running" {
		t.Error("her workspace is stopped")
	}
}

// Accounts that were made and deleted block nothing: those whose deletion was seen are off-boarded, and where
// nobody saw it, bans and soft deletions are carried out all the same.
func TestThrowAwayAccountsBlockNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		unseen bool
		want   reconcile.Summary
		err    bool
	}{
		"with triggers": {false, reconcile.Summary{Offboarded: 13, Suspended: 13, Tokens: 13}, false},
		"without":       {true, reconcile.Summary{Offboarded: 3, Suspended: 3, Tokens: 3, Withheld: 10 + 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c := clocked(t, profileNew())
			w.addAccounts(t, 14)
			w.db.Exec(t, `insert into auth.users (id) select user_id from coderhook.accounts`)
			if test.unseen {
				w.db.Exec(t, `drop function coderhook.user_changed() cascade`)
			}
			for i := range 11 {
				w.db.Exec(t, `delete from auth.users where id = $1`, fmt.Sprintf("%08x-0000-4000-8000-000000000000", i+1))
			}
			w.db.Exec(t, `update auth.users set banned_until = 'infinity' where id in (select id from auth.users order by id limit 1)`)
			w.db.Exec(t, `update auth.users set deleted_at = now() where id in (select id from auth.users order by id offset 1 limit 1)`)
			if test.unseen { // a single one that was seen is not withheld either
				w.db.Exec(t, `insert into coderhook.departures (user_id, what) values ('00000001-0000-4000-8000-000000000000', 'deleted')`)
				test.want.Withheld--
				w.addOneMissing(t)
				test.want.Withheld++
			}
			c.Advance(time.Hour)
			r := w.reconciler()
			got, err := r.Reconcile(t.Context(), false)
			if test.want.Accounts = got.Accounts; got != test.want || (err != nil) != test.err {
				t.Errorf("got  %s, %v\nwant %s", got, err, test.want)
			}
			if test.err {
				r.Force = true
				w.reconcile(t, r, reconcile.Summary{Offboarded: 11, Suspended: 10, Tokens: 10})
			}
		})
	}
}

// addOneMissing is an account without a Coder user whose user is not in Supabase.
func (w *world) addOneMissing(t *testing.T) {
	t.Helper()
	w.db.Exec(t, `insert into coderhook.accounts (user_id, key_id, status) values (gen_random_uuid(), 'AbCdEfGhIj', 'active')`)
}

// `coderhook reconcile` right after a deletion, which no trigger saw: a key that was once in the profile shows
// that the user was committed. Where nothing shows it they wait, and are counted and named.
func TestWhoHadAKeyNeedsNoPatience(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arrange string
		want    reconcile.Summary
	}{
		"the profile went with the user": {`select 1`, reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1}},
		"a table without a foreign key":  {`alter table public.profiles drop constraint profiles_id_fkey`, reconcile.Summary{Waiting: 1}},
		"never had a key":                {`update coderhook.accounts set key_id = null, status = 'pending'`, reconcile.Summary{Waiting: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, _ := newbie(t, profileNew())
			w.db.Exec(t, `drop function coderhook.user_changed() cascade`)
			w.db.Exec(t, test.arrange)
			w.db.Exec(t, deleteAda)
			r := w.reconciler()
			var told []string
			r.Tell = func(text string) { told = append(told, text) }
			w.reconcile(t, r, test.want)
			if named := strings.Contains(strings.Join(told, "\n"), ada.String()+": is not in Supabase, but the sign-up may not be committed yet: waits until "); named != (test.want.Waiting == 1) {
				t.Errorf("told %q", told)
			}
		})
	}
}

// Nobody who is gone or banned gets a key or an account by an event that is repeated, late or under way,
// whatever was there before.
func TestMintsForWhoLeft(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]string{"deleted": deleteAda, "soft-deleted": softlyAda, "banned": banAda} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c, _ := newbie(t, profileNew())
			r := w.reconciler()
			r.Delete = true
			w.db.Exec(t, leave)
			if err := r.TakeUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantNothing := func(what string, user uuid.UUID, status store.Status) {
				t.Helper()
				got := w.mint(t, user, "ada@example.com")
				w.settled()
				if got.key(t) != "" || got.keyStatus(t) != "conflict" || len(w.coder.Users()) > 0 || w.status(t, user) != status {
					t.Errorf("%s: %s; Coder has %d users, the ledger says %s", what, got.body, len(w.coder.Users()), w.status(t, user))
				}
			}
			wantNothing("repeated", ada, store.Offboarded)
			w.db.Exec(t, `insert into public.profiles (id, api_key) select id, 'AbCdEfGhIj-0123456789012345678901' from auth.users on conflict (id) do update set api_key = excluded.api_key`)
			wantNothing("with a planted key", ada, store.Offboarded)
			w.db.Exec(t, `delete from coderhook.departures`)
			c.Advance(2 * time.Hour)
			wantNothing("much later", ada, store.Offboarded)

			stranger := w.db.AddUser(t, "eve@example.com")
			w.db.Exec(t, leave)
			wantNothing("whom we did not know", stranger, store.Pending)
			underWay := w.db.AddUser(t, "bob@example.com")
			w.useLedger(oddLedger{Ledger: w.store, beforeClaim: func() { w.db.Exec(t, leave) }})
			wantNothing("under way", underWay, store.Pending)
		})
	}
}

// Who is deleted while their key is made has no access when it is done: nobody waits for a user to be committed
// who was seen to leave.
func TestDeletedWhileAKeyIsMade(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.PersistPatience = time.Hour
	w := newWorld(t, s)
	w.addAda(t)
	w.watching(t, w.replica, (*reconcile.Reconciler).Watch)
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users/*/keys/tokens", AfterActing: true, Delay: 300 * time.Millisecond, Times: 1})
	var minting sync.WaitGroup
	minting.Go(func() { w.mint(t, ada, "ada@example.com") })
	eventually(t, "the key is being made", func() bool { return w.countCalls("POST", "/tokens") == 1 })
	w.db.Exec(t, deleteAda)
	minting.Wait()
	promptly(t, "there is no key", func() bool {
		user, found := w.coder.User("ada0ada0")
		return !found || user.Status == "suspended" && len(w.tokensOfAda()) == 0
	})
	promptly(t, "nothing is left", func() bool { n, _, err := w.store.PendingDepartures(t.Context()); return err == nil && n == 0 })
}

// A user who is not committed yet is not gone.
func TestUncommittedSignUpGetsItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	tx := w.db.Begin(t)
	tx.Exec(t, `insert into auth.users (id, email) values ($1, 'ada@example.com')`, ada)
	w.watching(t, w.replica, (*reconcile.Reconciler).Watch, (*reconcile.Reconciler).Scan)
	key := w.mintAda(t)
	tx.Exec(t, "commit")
	eventually(t, "stored", func() bool { return key != "" && w.stored(t, ada) == key })
	w.wantWorkingKey(t, key, "ada@example.com")
}

// mortal is a ring whose process may end at any moment.
func (w *world) mortal(of *life) (*keyring.Keyring, *metrics.Registry) {
	registry := metrics.New()
	p := w.Keyring.Provisioner
	return keyring.New(p.Options, mortalLedger{w.store, of}, mortalCoder{w.client, of}, registry, p.Log), registry
}
