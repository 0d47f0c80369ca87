package hook

import (
	"errors"
	"testing"
	"time"

	"coderhook/hook/authtest"
	"coderhook/hook/reconcile"
	"coderhook/store"
)

// Without triggers, a scan finds who left and who is back.
func TestScanFindsWhoLeft(t *testing.T) {
	t.Parallel()
	for name, test := range waysToLeave {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, key := newbie(t, profileNew())
			w.db.Exec(t, `drop function coderhook.user_changed() cascade`)
			r := w.reconciler()
			w.coder.ForgetRequests()
			if sum, err := r.ScanAll(t.Context()); err != nil || sum != (reconcile.Summary{}) || len(w.coder.Requests()) > 0 {
				t.Errorf("while all is well: %s, %v, asked %v", sum, err, w.coder.Requests())
			}
			w.db.Exec(t, test.leave)
			sum, err := r.ScanAll(t.Context())
			if err != nil || sum.Offboarded != 1 || w.works(t, key) {
				t.Errorf("%s, %v", sum, err)
			}
			if sum, err := r.ScanAll(t.Context()); err != nil || sum != (reconcile.Summary{}) {
				t.Errorf("again: %s, %v", sum, err)
			}
			if test.back == "" {
				return
			}
			w.db.Exec(t, test.back)
			if sum, err := r.ScanAll(t.Context()); err != nil || sum.Activated != 1 {
				t.Errorf("when she is back: %s, %v", sum, err)
			}
		})
	}
}

// It withholds who is missing as reconciling does.
func TestScanWithholdsTheMissing(t *testing.T) {
	t.Parallel()
	w, c := clocked(t, profileNew())
	w.addAccounts(t, 12)
	w.db.Exec(t, `insert into auth.users (id, banned_until) select user_id, 'infinity' from coderhook.accounts order by user_id limit 1`)
	c.Advance(time.Hour)
	r := w.reconciler()
	sum, err := r.ScanAll(t.Context())
	if !errors.Is(err, reconcile.ErrManyGone) || sum.Offboarded != 1 || sum.Withheld != 11 || w.suspended() != 1 {
		t.Errorf("%s, %v", sum, err)
	}
	w.db.Exec(t, `insert into coderhook.departures (user_id, what) select user_id, 'deleted' from coderhook.accounts order by user_id offset 1 limit 1`)
	sum, err = r.ScanAll(t.Context())
	if err != nil || sum.Offboarded != 11 || w.suspended() != 12 {
		t.Errorf("when ten are left whose deletion nobody saw: %s, %v", sum, err)
	}
}

// One replica scans: every half a minute without triggers, every five minutes with them.
func TestScanTakesTurns(t *testing.T) {
	t.Parallel()
	s := profileNew()
	s.clock = authtest.NewClock()
	w := newWorld(t, s)
	other := w.start(t, s)
	mine, theirs := w.reconciler(), w.reconcilerOf(other)
	if _, err := w.store.ClaimTask(t.Context(), store.Task{Name: reconcile.ScanTask, Owner: theirs.Instance}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := mine.ScanTurn(t.Context()); err != reconcile.ErrReconciling {
		t.Errorf("while another replica is at it: %v", err)
	}
	for _, step := range []struct {
		r       *reconcile.Reconciler
		forward time.Duration
		before  string
		want    error
	}{
		{theirs, 0, `select 1`, nil},
		{mine, 30 * time.Second, `select 1`, reconcile.ErrNotDue},
		{mine, 5 * time.Minute, `select 1`, nil},
		{theirs, 20 * time.Second, `alter table auth.users disable trigger coderhook_user_deleted`, reconcile.ErrNotDue},
		{theirs, 5 * time.Second, `select 1`, nil},
	} {
		s.clock.Advance(step.forward)
		w.db.Exec(t, step.before)
		if _, err := step.r.ScanTurn(t.Context()); err != step.want {
			t.Errorf("got %v, want %v", err, step.want)
		}
	}
}

// The server does so by itself.
func TestScanRuns(t *testing.T) {
	t.Parallel()
	w, c, key := newbie(t, profileNew())
	w.db.Exec(t, `drop function coderhook.user_changed() cascade`)
	w.db.Exec(t, banAda)
	c.Advance(time.Minute)
	w.watching(t, w.replica, (*reconcile.Reconciler).Scan)
	promptly(t, "the key is dead", func() bool { return !w.works(t, key) })
}
