package hook

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook/apikey"
	"coderhook/hook/authtest"
	"coderhook/hook/lease"
	"coderhook/hook/reconcile"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

const week = 7 * authtest.Day

// listed counts how often Coder was asked for tokens since the last time.
func (w *world) listed() (n int) {
	for _, call := range w.coder.Requests() {
		if call.Method == "GET" && strings.HasSuffix(call.Path, "/keys/tokens") {
			n++
		}
	}
	w.coder.ForgetRequests()
	return n
}

// After a key was made Coder is asked once, when what a crash may have left is stale, and not again.
func TestCoderIsAskedOnlyWhereSomethingHasHappened(t *testing.T) {
	t.Parallel()
	w, c, _ := newbie(t, profileNew())
	r := w.reconciler()
	r.Interval = 0
	for _, step := range []struct {
		forward time.Duration
		want    int
	}{{0, 0}, {70 * time.Minute, 0}, {20 * time.Minute, 1}, {time.Hour, 0}, {30 * authtest.Day, 0}} {
		c.Advance(step.forward)
		w.coder.ForgetRequests()
		if _, err := r.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if all, got := len(w.coder.Requests()), w.listed(); got != step.want || all != got {
			t.Errorf("after %s: asked %d times for tokens, %d times in all, want %d", step.forward, got, all, step.want)
		}
	}
	if _, err := r.Reconcile(t.Context(), false); err != nil || w.listed() != 1 {
		t.Errorf("the command does not ask about everybody: %v", err)
	}
}

// Whatever way work on an account ended, a token that it may have left in Coder is found without the slow look, and so is
// one of a version that knows nothing of looks.
func TestWhatWorkMayHaveLeftIsFound(t *testing.T) {
	t.Parallel()
	const lost = `update coderhook.accounts set lease_owner = 'killed', lease_until = now() where user_id = $1`
	for name, work := range map[string]func(*testing.T, *world){
		"it failed": func(t *testing.T, w *world) {
			w.holding(t, func(held store.Lease) error {
				return w.store.RecordFailure(t.Context(), held, store.Pending, "Coder is down")
			})
		},
		"it wrote nothing": func(t *testing.T, w *world) { w.holding(t, func(store.Lease) error { return nil }) },
		"it was killed":    func(t *testing.T, w *world) { w.db.Exec(t, lost, ada) },
		"it was killed, and somebody else came": func(t *testing.T, w *world) {
			w.db.Exec(t, lost, ada)
			w.holding(t, func(store.Lease) error { return nil })
		},
		"an older version's was killed": func(t *testing.T, w *world) {
			w.db.Exec(t, lost, ada)
			w.db.Exec(t, `update coderhook.accounts set worked_at = null`)
		},
		"somebody forged a look": func(t *testing.T, w *world) { w.db.Exec(t, `update coderhook.accounts set looked_at = '9999-12-31'`) },
		"for ever":               func(t *testing.T, w *world) { w.db.Exec(t, `update coderhook.accounts set looked_at = 'infinity'`) },
		"an older version's went well": func(t *testing.T, w *world) {
			w.db.Exec(t, `update coderhook.accounts set updated_at = now(), worked_at = null`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c, key := newbie(t, profileNew())
			// The database's clock is real: all that was before was long ago.
			w.db.Exec(t, `update coderhook.accounts set updated_at = now() - interval '1 day', worked_at = now() - interval '1 day', looked_at = now() - interval '1 second'`)
			w.coder.AddToken("ada0ada0", ourToken, week)
			r := w.reconciler()
			c.Advance(2 * time.Hour)
			w.reconcile(t, r, reconcile.Summary{})
			work(t, w)
			w.reconcile(t, r, reconcile.Summary{Tokens: 1})
			w.coder.ForgetRequests()
			w.reconcile(t, r, reconcile.Summary{})
			if n := w.listed(); n > 0 {
				t.Errorf("asked again: %d times", n)
			}
			w.wantWorkingKey(t, key, "ada@example.com")
		})
	}
}

// holding works on Ada's account.
func (w *world) holding(t *testing.T, do func(store.Lease) error) {
	t.Helper()
	held := lease.New("test", ada)
	if err := w.store.Claim(t.Context(), held, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := do(held); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Release(t.Context(), held); err != nil {
		t.Fatal(err)
	}
}

// A look that failed is none.
func TestALookThatFailedIsRepeated(t *testing.T) {
	t.Parallel()
	w, c, _ := newbie(t, profileNew())
	w.coder.AddToken("ada0ada0", ourToken, week)
	c.Advance(2 * time.Hour)
	r := w.reconciler()
	up := w.coder.Fail(codertest.Fault{Method: "GET", Path: "/users/*/keys/tokens", Status: 500, Body: `{"message":"Internal error."}`})
	w.reconcile(t, r, reconcile.Summary{Failed: 1})
	up()
	eventually(t, "Coder is asked again", func() bool { return w.client.Probe(t.Context()) == nil && w.client.Available() })
	w.reconcile(t, r, reconcile.Summary{Tokens: 1})
}

// settledAccounts are of users who are here, and with whom nothing has happened for long.
func (w *world) settledAccounts(t *testing.T, n int) {
	t.Helper()
	w.addAccounts(t, n)
	w.db.Exec(t, `insert into auth.users (id) select user_id from coderhook.accounts on conflict do nothing`)
	w.db.Exec(t, `update coderhook.accounts set token_seconds = 3600, updated_at = now() - interval '1 day'`)
}

// Each account is looked at once in half the interval to the whole, though nothing has happened, and they are spread.
func TestLooksAreSpread(t *testing.T) {
	t.Parallel()
	const accounts, steps = 120, 24 // so many steps in the interval
	w, c := clocked(t, profileNew())
	w.settledAccounts(t, accounts)
	r := w.reconciler()
	r.FullInterval = week
	found, most := 0, 0
	for step := 1; step <= 2*steps; step++ {
		c.Advance(week / steps)
		w.coder.ForgetRequests()
		sum, err := r.LookTurn(t.Context())
		if err != nil || sum != (reconcile.Summary{}) {
			t.Fatalf("%s, %v", sum, err)
		}
		n := w.listed()
		found, most = found+n, max(most, n)
		switch {
		case step < steps/2 && found > 0:
			t.Fatalf("asked %d times after %d of %d steps", found, step, steps)
		case step == steps && found != accounts:
			t.Fatalf("%d of %d were looked at within the interval", found, accounts)
		case step == 2*steps-1 && found < 2*accounts:
			t.Fatalf("%d looks at %d accounts within two intervals", found, accounts)
		}
		if oldest, err := w.store.OldestLook(t.Context()); err != nil || w.Now().Sub(oldest) > week+week/steps {
			t.Fatalf("the oldest look is %s old, %v", w.Now().Sub(oldest), err)
		}
	}
	if most > 3*2*accounts/steps {
		t.Errorf("%d of %d were looked at at once", most, accounts)
	}
}

// What only Coder knows of is found; who is missing is left to reconciling, and one account that fails holds up no other.
func TestLookFindsWhatNobodyKnowsOf(t *testing.T) {
	t.Parallel()
	w, c := clocked(t, profileNew())
	w.settledAccounts(t, reconcile.PageSize+5)
	const left = apikey.Prefix + "abcdefgh2346"
	name := func(i int) string { return fmt.Sprintf("%08x", i) }
	id := func(i int) uuid.UUID { return uuid.MustParse(name(i) + "-0000-4000-8000-000000000000") }
	for _, i := range []int{1, 2, 50, reconcile.PageSize + 5} {
		w.coder.AddToken(name(i), left, 30*authtest.Day)
	}
	w.db.Exec(t, `delete from auth.users where id = $1`, id(2))
	failing, _ := w.coder.User(name(1))
	down := w.coder.Fail(codertest.Fault{Method: "GET", Path: "/users/" + failing.ID.String() + "/keys/tokens", Status: 500, Body: `{"message":"Internal error."}`})
	c.Advance(week)
	r := w.reconciler()
	r.FullInterval = week
	if sum, err := r.LookTurn(t.Context()); err != nil || sum.Tokens != 2 || sum.Failed != 1 || sum.Offboarded != 0 {
		t.Errorf("%s, %v", sum, err)
	}
	down()
	w.coder.ForgetRequests()
	if sum, err := r.LookTurn(t.Context()); err != nil || sum.Tokens != 1 || sum.Failed != 0 {
		t.Errorf("the next time: %s, %v", sum, err)
	}
	if n := w.listed(); n != 1 {
		t.Errorf("asked about %d accounts, one was left", n)
	}
	if len(w.coder.TokensOf(name(2))) != 2 {
		t.Error("tokens of a user who is missing were looked at")
	}
}

// One replica looks; killed at it, the next one goes on with the oldest.
func TestLooksTakeTurns(t *testing.T) {
	t.Parallel()
	w, c := clocked(t, profileNew())
	w.settledAccounts(t, 9)
	c.Advance(week)
	r := w.reconciler()
	r.FullInterval = week
	held := store.Task{Name: reconcile.LookTask, Owner: "another"}
	if _, err := w.store.ClaimTask(t.Context(), held, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := r.LookTurn(t.Context()); err != reconcile.ErrReconciling {
		t.Errorf("while another replica is at it: %v", err)
	}
	if err := w.store.ReleaseTask(t.Context(), held, time.Time{}); err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(t.Context())
	looked := 0
	r.Pause = time.Nanosecond
	watched := *r
	watched.Register = &killedAfter{Register: r.Register, n: 4, kill: kill, looked: &looked}
	if _, err := watched.LookTurn(ctx); err == nil {
		t.Error("it was not killed")
	}
	w.coder.ForgetRequests()
	if _, err := r.LookTurn(t.Context()); err != nil {
		t.Error(err)
	}
	if n := w.listed(); looked != 4 || n != 5 {
		t.Errorf("%d and %d of 9", looked, n)
	}
	if n := storetest.Query[int](t, w.db, `select count(*) from coderhook.accounts where looked_at < $1`, w.Now()); n != 0 {
		t.Errorf("%d were not looked at", n)
	}
}

// killedAfter ends a replica after so many looks.
type killedAfter struct {
	reconcile.Register
	n      int
	kill   func()
	looked *int
}

func (k *killedAfter) Looked(ctx context.Context, user uuid.UUID, at time.Time) error {
	if *k.looked++; *k.looked == k.n {
		defer k.kill()
	}
	return k.Register.Looked(ctx, user, at)
}
