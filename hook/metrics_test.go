package hook

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/metrics"
	"coderhook/hook/reconcile"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Every mint is counted once, by what became of it and why.
func TestMintsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, impatient())
	user := w.db.AddUser(t, "ada@example.com")
	first := w.mint(t, user, "ada@example.com").key(t)
	eventually(t, "stored", func() bool { return w.stored(t, user) == first && w.jobs() == 0 })
	w.mint(t, user, "ada@example.com")
	anonymous := claimsOf(uuid.New(), "")
	anonymous["is_anonymous"] = true
	w.mintClaims(t, uuid.MustParse(anonymous["sub"].(string)), anonymous)
	w.post(t, []byte("{}"), nil)
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Status: 500})
	w.mint(t, w.db.AddUser(t, "bob@example.com"), "bob@example.com")
	w.settled()

	want := `
# HELP coderhook_mints_total Token mints by outcome and reason.
# TYPE coderhook_mints_total counter
coderhook_mints_total{outcome="conflict",reason="no key"} 0
coderhook_mints_total{outcome="failed",reason="chained hook"} 0
coderhook_mints_total{outcome="failed",reason="panic"} 0
coderhook_mints_total{outcome="injected",reason="key found"} 1
coderhook_mints_total{outcome="injected",reason="key kept"} 0
coderhook_mints_total{outcome="injected",reason="key made"} 1
coderhook_mints_total{outcome="injected",reason="old key"} 0
coderhook_mints_total{outcome="pending",reason="no key"} 0
coderhook_mints_total{outcome="ready",reason="key found"} 0
coderhook_mints_total{outcome="ready",reason="key kept"} 0
coderhook_mints_total{outcome="ready",reason="key made"} 0
coderhook_mints_total{outcome="ready",reason="old key"} 0
coderhook_mints_total{outcome="refused",reason="Bad Request"} 0
coderhook_mints_total{outcome="refused",reason="Request Entity Too Large"} 0
coderhook_mints_total{outcome="refused",reason="Service Unavailable"} 0
coderhook_mints_total{outcome="refused",reason="Unauthorized"} 1
coderhook_mints_total{outcome="refused",reason="internal error"} 0
coderhook_mints_total{outcome="rejected",reason="chained hook"} 0
coderhook_mints_total{outcome="skipped",reason="anonymous user"} 1
coderhook_mints_total{outcome="skipped",reason="assurance level too low"} 0
coderhook_mints_total{outcome="skipped",reason="no e-mail"} 0
coderhook_mints_total{outcome="skipped",reason="other role"} 0
coderhook_mints_total{outcome="skipped",reason="other subject"} 0
coderhook_mints_total{outcome="skipped",reason="third-party OAuth client"} 0
coderhook_mints_total{outcome="too_large",reason="no room"} 0
coderhook_mints_total{outcome="unavailable",reason="no key"} 1
`
	err := testutil.GatherAndCompare(w.Registry, strings.NewReader(want), "coderhook_mints_total")
	if err != nil {
		t.Error(err)
	}
}

// counts are those counters of the metric that are not zero, by the values of their labels.
func (w *world) counts(t *testing.T, name string) map[string]float64 {
	t.Helper()
	families, err := w.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]float64)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var values []string
			for _, pair := range m.GetLabel() {
				values = append(values, pair.GetValue())
			}
			if n := m.GetCounter().GetValue() + m.GetGauge().GetValue(); n != 0 {
				found[strings.Join(values, ": ")] = n
			}
		}
	}
	return found
}

func (w *world) wantCounts(t *testing.T, name string, want map[string]float64) {
	t.Helper()
	if diff := cmp.Diff(want, w.counts(t, name)); diff != "" {
		t.Errorf("%s: -want +got:\n%s", name, diff)
	}
}

// A key is the first, follows one that lives, or one that is dead; and it is a check that finds that out.
func TestCountsOfKeysAndChecks(t *testing.T) {
	t.Parallel()
	w, c, _ := newbie(t, profileNew())
	w.wantCounts(t, "coderhook_keys_made_total", map[string]float64{"first": 1})
	c.Advance(5 * authtest.Day)
	w.mintAda(t)
	w.settled()
	w.wantCounts(t, "coderhook_keys_made_total", map[string]float64{"first": 1, "renewal": 1})

	c.Advance(time.Hour)
	second := w.mintAda(t)
	w.settled()
	w.coder.DeleteKey(coderclient.KeyID(second))
	c.Advance(time.Hour)
	w.mintAda(t) // finds it out
	w.settled()
	w.mintAda(t)
	w.settled()
	w.wantCounts(t, "coderhook_keys_made_total", map[string]float64{"first": 1, "renewal": 1, "replacement": 1})

	remove := w.coder.Fail(codertest.Fault{Path: "/users/me", Status: 500})
	c.Advance(time.Hour)
	w.mintAda(t)
	w.settled()
	remove()
	w.coder.SuspendUser("ada0ada0")
	c.Advance(time.Hour)
	w.mintAda(t)
	w.settled()
	w.wantCounts(t, "coderhook_key_checks_total", map[string]float64{"ok": 1, "refused": 1, "failed": 1, "suspended": 1})
	w.wantCounts(t, "coderhook_writes_total", map[string]float64{"stored": 3})
}

// A key whose Coder user is gone is replaced, even where the ledger takes it for alive.
func TestCountsAKeyThatDiedWithItsUser(t *testing.T) {
	t.Parallel()
	w, c, _ := newbie(t, profileNew())
	w.coder.DeleteUser("ada0ada0")
	c.Advance(5 * authtest.Day)
	w.mintAda(t)
	w.settled()
	w.wantCounts(t, "coderhook_keys_made_total", map[string]float64{"first": 1, "replacement": 1})
}

// What Coder has kept alive is not made anew.
func TestCountsAKeptKey(t *testing.T) {
	t.Parallel()
	w, c, first := newbie(t, patient())
	c.Advance(6 * authtest.Day)
	w.wantWorkingKey(t, first, "ada@example.com")
	c.Advance(2 * authtest.Day)
	w.mintAda(t)
	w.settled()
	w.wantCounts(t, "coderhook_keys_made_total", map[string]float64{"first": 1})
	w.wantCounts(t, "coderhook_mints_total", map[string]float64{"injected: key made": 1, "injected: key kept": 1})
}

// Many wait for one key, here and at another replica: it is made once, and found by the others.
func TestCountsAKeyOnceThatManyWaitFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	other := &world{db: w.db, store: w.store, coder: w.coder, log: w.log, replica: w.start(t, patient())}
	w.addAda(t)
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Delay: 200 * time.Millisecond})
	var mints sync.WaitGroup
	for range 4 {
		mints.Go(func() { w.mint(t, ada, "ada@example.com") })
		mints.Go(func() { other.mint(t, ada, "ada@example.com") })
	}
	mints.Wait()
	w.settled()
	other.settled()
	sum := map[string]float64{}
	for _, replica := range []*world{w, other} {
		for what, n := range replica.counts(t, "coderhook_mints_total") {
			sum[what] += n
		}
	}
	if diff := cmp.Diff(map[string]float64{"injected: key made": 1, "injected: key found": 7}, sum); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The ledger tells every replica when it was done last, also after a restart.
func TestCountsOfReconcile(t *testing.T) {
	t.Parallel()
	w, c, _ := newbie(t, profileNew())
	const last = "coderhook_reconcile_last_success_timestamp_seconds"
	w.wantCounts(t, last, map[string]float64{})
	r := w.reconciler()
	w.db.Exec(t, banAda)
	remove := w.coder.Fail(codertest.Fault{Method: "PUT", Status: 400, Body: `{"message":"No."}`})
	if _, err := r.Reconcile(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	remove()
	w.wantCounts(t, "coderhook_reconcile_failed_accounts_total", map[string]float64{"": 1})
	if _, err := r.Reconcile(t.Context(), true); err != nil { // a dry run changes nothing
		t.Fatal(err)
	}
	w.wantCounts(t, "coderhook_reconcile_changes_total", map[string]float64{})
	if _, err := r.Reconcile(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	at := map[string]float64{"": float64(c.Now().Unix())}
	w.wantCounts(t, "coderhook_reconcile_changes_total", map[string]float64{"off-boarded": 1, "user suspended": 1, "token deleted": 1})
	w.wantCounts(t, last, at)

	w.db.Exec(t, `revoke execute on function coderhook.auth_users_state from coderhook`)
	if _, err := r.Reconcile(t.Context(), false); err == nil {
		t.Error("no error")
	}
	w.wantCounts(t, "coderhook_reconcile_total", map[string]float64{"ok": 2, "failed": 1})

	restarted := &world{db: w.db, store: w.store, coder: w.coder, log: w.log, replica: w.start(t, settings{options: patient().options, clock: c})}
	if _, err := restarted.reconciler().Turn(t.Context()); !errors.Is(err, reconcile.ErrNotDue) {
		t.Fatal(err)
	}
	restarted.wantCounts(t, last, at)
	restarted.wantCounts(t, "coderhook_reconcile_total", map[string]float64{})
}

func TestCoderCallsAndOwnValues(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	called := m.CoderCall()
	called("get_user", 200, time.Second)
	called("get_user", 204, time.Second)
	called("get_user", 0, time.Second)
	m.GaugeFunc("a_gauge", "h", map[string]string{"of": "x"}, func() float64 { return 2 })
	m.CounterFunc("a_counter", "h", nil, func() float64 { return 3 })
	w := &world{replica: &replica{Server: &Server{Registry: m}}}
	w.wantCounts(t, "coderhook_coder_requests_total", map[string]float64{"get_user: 2xx": 2, "get_user: 0": 1})
	w.wantCounts(t, "a_gauge", map[string]float64{"x": 2})
	w.wantCounts(t, "a_counter", map[string]float64{"": 3})
}
