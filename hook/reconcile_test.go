package hook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/apikey"
	"coderhook/hook/authtest"
	"coderhook/hook/keyring"
	"coderhook/hook/reconcile"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

func (w *world) reconciler() *reconcile.Reconciler { return w.reconcilerOf(w.replica) }

// reconcilerOf reconciles as a replica does.
func (w *world) reconcilerOf(r *replica) *reconcile.Reconciler {
	coder, whole := r.toCoder.(reconcile.Coder)
	if !whole {
		coder = r.client
	}
	reconciler := keyring.NewReconciler(r.Keyring, r.ledger, coder, w.store, r.Registry)
	reconciler.Interval = time.Hour
	if r.OutOfClaims {
		reconciler.Withdraw = r.Keyring.Provisioner.Withdraw
	}
	return reconciler
}

// reconcile runs once, as the server does, and compares the summary but for the number of accounts.
func (w *world) reconcile(t *testing.T, r *reconcile.Reconciler, want reconcile.Summary) {
	t.Helper()
	now := *r
	now.Interval = 0
	got, err := now.Turn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want.Accounts = got.Accounts; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func (w *world) adaInCoder(t *testing.T) codertest.User {
	t.Helper()
	user, ok := w.coder.User("ada0ada0")
	if !ok {
		t.Fatal("Ada is not in Coder")
	}
	return user
}

// ourToken is named as one that we made.
const ourToken = apikey.Prefix + "abcdefgh2345"

const (
	deleteAda = `delete from auth.users`
	softlyAda = `update auth.users set deleted_at = now()`
	banAda    = `update auth.users set banned_until = 'infinity'`
	unbanAda  = `update auth.users set banned_until = null`
)

func TestWhoLeftLosesAccess(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]string{"deleted": deleteAda, "soft-deleted": softlyAda, "banned": banAda} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c, key := newbie(t, profileNew())
			w.coder.AddToken("ada0ada0", "her-own", 30*authtest.Day)
			c.Advance(time.Hour)
			r := w.reconciler()
			w.reconcile(t, r, reconcile.Summary{})
			w.db.Exec(t, leave)
			w.reconcile(t, r, reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1})
			if got := w.adaInCoder(t); got.Status != "suspended" {
				t.Errorf("she is %s in Coder", got.Status)
			}
			if left := w.tokensOfAda(); len(left) != 1 || left[0].TokenName != "her-own" {
				t.Errorf("tokens left: %+v", left)
			}
			if _, err := w.client.Me(t.Context(), key); err == nil {
				t.Error("the key still works")
			}
			w.coder.ForgetRequests()
			w.reconcile(t, r, reconcile.Summary{})
			if calls := w.coder.Requests(); len(calls) > 0 {
				t.Errorf("the second run asks Coder again: %v", calls)
			}
		})
	}
}

// A user whose ban was lifted is activated by the next run, or already by the next mint.
func TestWhoComesBackIsActivated(t *testing.T) {
	t.Parallel()
	for name, mintFirst := range map[string]bool{"by reconciling": false, "by the mint": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c, old := newbie(t, profileNew())
			r := w.reconciler()
			w.db.Exec(t, banAda)
			w.reconcile(t, r, reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1})
			if got := w.mint(t, ada, "ada@example.com"); got.key(t) != "" || got.keyStatus(t) != "conflict" {
				t.Errorf("a token that was under way when she was banned: %s", got.body)
			}
			w.settled()
			w.db.Exec(t, unbanAda)
			c.Advance(time.Hour)
			if !mintFirst {
				w.reconcile(t, r, reconcile.Summary{Activated: 1})
			}
			key := w.mintAda(t)
			if key == old {
				t.Error("the dead key")
			}
			w.wantWorkingKey(t, key, "ada@example.com")
			w.settled()
			w.wantOneUser(t, 1)
			w.reconcile(t, r, reconcile.Summary{})
		})
	}
}

// Who was suspended by an operator of Coder stays so, whatever happens in Supabase.
func TestSuspensionByOthersStays(t *testing.T) {
	t.Parallel()
	w, _, _ := newbie(t, profileNew())
	r := w.reconciler()
	w.coder.SuspendUser("ada0ada0")
	w.db.Exec(t, banAda)
	w.reconcile(t, r, reconcile.Summary{Offboarded: 1, Tokens: 1})
	w.db.Exec(t, unbanAda)
	w.reconcile(t, r, reconcile.Summary{Activated: 1})
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
		t.Errorf("got %s", got.body)
	}
	if got := w.adaInCoder(t); got.Status != "suspended" {
		t.Errorf("she is %s", got.Status)
	}
}

func TestOffboardByDeletion(t *testing.T) {
	t.Parallel()
	workspaces := codertest.Fault{
		Method: "DELETE", Path: "/users/*", Status: 417,
		Body: `{"message":"You cannot delete a user that has workspaces. Delete their workspaces and try again!"}`,
	}
	for name, test := range map[string]struct {
		fault *codertest.Fault
		want  reconcile.Summary
	}{
		"without workspaces": {nil, reconcile.Summary{Offboarded: 1, Deleted: 1}},
		"with workspaces":    {&workspaces, reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, _ := newbie(t, profileNew())
			if test.fault != nil {
				w.coder.Fail(*test.fault)
			}
			w.db.Exec(t, banAda)
			r := w.reconciler()
			r.Delete = true
			if test.fault == nil {
				test.want.Tokens = len(w.tokensOfAda()) - 1 // they go with the user
			}
			w.reconcile(t, r, test.want)
			w.reconcile(t, r, reconcile.Summary{})
			w.db.Exec(t, unbanAda)
			w.reconcile(t, r, reconcile.Summary{Activated: 1})
			w.wantWorkingKey(t, w.mintAda(t), "ada@example.com")
			w.settled()
			w.wantOneUser(t, 1)
		})
	}
}

// Coder accounts that we did not make lose our tokens and nothing else, whatever their roles.
func TestAccountsThatWeDidNotMakeAreNotSuspended(t *testing.T) {
	t.Parallel()
	for name, arrange := range map[string]func(*testing.T, *world){
		"linked": func(t *testing.T, w *world) { w.db.Exec(t, `update coderhook.accounts set linked = true`) },
		"linked admin": func(t *testing.T, w *world) {
			w.db.Exec(t, `update coderhook.accounts set linked = true`)
			w.promote(t, "ada0ada0", "user-admin")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, _ := newbie(t, profileNew())
			arrange(t, w)
			w.db.Exec(t, banAda)
			r := w.reconciler()
			r.Delete = true
			w.reconcile(t, r, reconcile.Summary{Offboarded: 1, Tokens: 1})
			if got := w.adaInCoder(t); got.Status == "suspended" || len(w.tokensOfAda()) != 0 {
				t.Errorf("she is %s with %d tokens", got.Status, len(w.tokensOfAda()))
			}
		})
	}
}

// What a crash left in Coder goes when no access token can carry it; what is not ours stays.
func TestStaleTokensGo(t *testing.T) {
	t.Parallel()
	w, c, key := newbie(t, profileNew())
	w.coder.AddToken("ada0ada0", ourToken, 7*authtest.Day)
	w.coder.AddToken("ada0ada0", "her-own", 7*authtest.Day)
	r := w.reconciler()
	c.Advance(time.Hour)
	w.reconcile(t, r, reconcile.Summary{})
	c.Advance(20 * time.Minute)
	w.reconcile(t, r, reconcile.Summary{Tokens: 1})
	left := map[string]bool{}
	for _, token := range w.tokensOfAda() {
		left[token.TokenName] = true
	}
	if len(left) != 2 || !left["her-own"] {
		t.Errorf("left: %v", left)
	}
	w.wantWorkingKey(t, key, "ada@example.com")
}

// Somebody who was replaced while they were away has old keys that no mint would look after.
func TestReconcilingDeletesReplacedKeys(t *testing.T) {
	t.Parallel()
	w, c, _ := newbie(t, profileNew())
	c.Advance(6 * authtest.Day)
	w.mintAda(t)
	w.settled()
	w.wantOneUser(t, 2)
	r := w.reconciler()
	w.reconcile(t, r, reconcile.Summary{})
	c.Advance(75 * time.Minute)
	w.reconcile(t, r, reconcile.Summary{Tokens: 1})
	w.wantOneUser(t, 1)
}

func TestOrphansGo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arrange func(*testing.T, *world)
		want    reconcile.Summary
	}{
		"known to the ledger": {func(t *testing.T, w *world) {
			made := w.coder.AddUser("ada0ada0", "ada@example.com", "none")
			w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, coder_username, status) values ($1, $2, 'ada0ada0', 'orphaned')`, ada, made.ID)
		}, reconcile.Summary{Orphans: 1, Deleted: 1}},
		"crashed before the ledger knew it": {func(t *testing.T, w *world) {
			w.coder.AddUser("ada0ada0", "ada@example.com", "none")
			w.db.Exec(t, `insert into coderhook.accounts (user_id) values ($1)`, ada)
		}, reconcile.Summary{Orphans: 1, Deleted: 1}},
		"linked by an operator": {func(t *testing.T, w *world) {
			made := w.coder.AddUser("lovelace", "ada@example.com", "password")
			w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, coder_username, status, linked) values ($1, $2, 'lovelace', 'orphaned', true)`, ada, made.ID)
		}, reconcile.Summary{Orphans: 1}},
		"an admin by now": {func(t *testing.T, w *world) {
			made := w.coder.AddUser("ada0ada0", "ada@example.com", "none", "user-admin")
			w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, coder_username, status) values ($1, $2, 'ada0ada0', 'orphaned')`, ada, made.ID)
		}, reconcile.Summary{Orphans: 1}},
		"nothing in Coder": {func(t *testing.T, w *world) {
			w.db.Exec(t, `insert into coderhook.accounts (user_id) values ($1)`, ada)
		}, reconcile.Summary{Orphans: 1}},
		"somebody else of that name": {func(t *testing.T, w *world) {
			w.coder.AddUser("ada0ada0", "eve@example.com", "password")
			w.coder.AddToken("ada0ada0", "mine", authtest.Day)
			w.db.Exec(t, `insert into coderhook.accounts (user_id) values ($1)`, ada)
		}, reconcile.Summary{Orphans: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c := clocked(t, profileNew())
			test.arrange(t, w)
			before := len(w.coder.Users())
			r := w.reconciler()
			w.reconcile(t, r, reconcile.Summary{Waiting: 1}) // the sign-up may not be committed yet
			c.Advance(11 * time.Minute)
			w.reconcile(t, r, test.want)
			if got := before - len(w.coder.Users()); got != test.want.Deleted {
				t.Errorf("%d Coder users deleted", got)
			}
			if rows := storetest.Query[int](t, w.db, `select count(*) from coderhook.accounts`); rows != 0 {
				t.Errorf("%d rows left", rows)
			}
		})
	}
}

func TestDryRunOnlyTells(t *testing.T) {
	t.Parallel()
	w, c, key := newbie(t, profileNew())
	w.coder.AddToken("ada0ada0", ourToken, 7*authtest.Day)
	w.db.Exec(t, banAda)
	c.Advance(time.Hour)
	r := w.reconciler()
	var told []string
	r.Tell = func(text string) { told = append(told, text) }
	w.coder.ForgetRequests()
	sum, err := r.Reconcile(t.Context(), true)
	if err != nil || sum.Suspended != 1 || sum.Tokens != 2 || sum.Offboarded != 1 || len(told) != 4 {
		t.Errorf("%s, %v, told %q", sum, err, told)
	}
	for _, call := range w.coder.Requests() {
		if call.Method != "GET" {
			t.Errorf("a dry run did %v", call)
		}
	}
	w.wantWorkingKey(t, key, "ada@example.com")
	if got := w.account(t, ada); got.Status != store.Active || got.SuspendedByUs {
		t.Errorf("a dry run wrote %v", got)
	}
}

// addAccounts gives n users a Coder account each, as if they had signed in long ago.
func (w *world) addAccounts(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		id := uuid.MustParse(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i+1))
		name := id.String()[:8]
		made := w.coder.AddUser(name, name+"@example.com", "none")
		key := w.coder.AddToken(name, ourToken, 7*authtest.Day)
		w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, coder_username, key_id, status) values ($1, $2, $3, $4, 'active')`,
			id, made.ID, name, key.ID)
	}
}

// All of a product's users are gone: page by page, and within Coder's rate limit.
func TestReconcilingInPagesWithinTheRateLimit(t *testing.T) {
	t.Parallel()
	w, c := clocked(t, profileNew())
	w.addAccounts(t, 2*reconcile.PageSize+7)
	c.Advance(time.Hour)
	w.coder.Configure(func(s *codertest.Settings) { s.RateLimit = 2 }) // for each path: an account's are its own
	r := w.reconciler()
	r.Force = true
	waits := 0
	r.Wait = func(_ context.Context, d time.Duration) error { waits++; c.Advance(2 * d); return nil }
	w.reconcile(t, r, reconcile.Summary{Offboarded: 2*reconcile.PageSize + 7, Suspended: 2*reconcile.PageSize + 7, Tokens: 2*reconcile.PageSize + 7})
	for _, user := range w.coder.Users() {
		if user.Status != "suspended" {
			t.Fatalf("%s is %s", user.Username, user.Status)
		}
	}
	// Deleting a token reads it before, twice where it is current: three on one path are too many.
	if waits == 0 {
		t.Error("the limit was never met: the test tests nothing")
	}
}

// Killed at any request it goes on where it was, and ends as if nothing had happened.
func TestReconcilingIsKilledAnywhere(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		w, c := clocked(t, profileNew())
		w.addAccounts(t, 3)
		w.db.Exec(t, `insert into auth.users (id, banned_until) select user_id, 'infinity' from coderhook.accounts limit 1`)
		c.Advance(time.Hour)
		r := w.reconciler()
		runs := 0
		for nth := 1; ; nth++ {
			w.coder.ForgetRequests()
			remove := w.coder.Fail(codertest.Fault{Nth: nth, Times: 1, Status: 502, Proxy: true, AfterActing: after})
			_, err := r.Reconcile(t.Context(), false)
			remove()
			eventually(t, "Coder is asked again", func() bool { return w.client.Probe(t.Context()) == nil && w.client.Available() })
			if runs++; runs > 100 {
				t.Fatal("no end")
			}
			if err == nil && len(w.coder.Requests()) < nth {
				break
			}
		}
		for _, user := range w.coder.Users() {
			if user.Status != "suspended" || len(w.coder.TokensOf(user.Username)) > 0 {
				t.Errorf("%s is %s with %d tokens", user.Username, user.Status, len(w.coder.TokensOf(user.Username)))
			}
		}
		if rows := storetest.Query[int](t, w.db, `select count(*) from coderhook.accounts where status = 'offboarded' and suspended_by_us and lease_owner is null`); rows != 3 {
			t.Errorf("%d of 3 are off-boarded after %d runs", rows, runs)
		}
	}
}

func TestOneReplicaReconciles(t *testing.T) {
	t.Parallel()
	s := profileNew()
	s.clock = authtest.NewClock()
	w := newWorld(t, s)
	other := w.start(t, s)
	mine, theirs := w.reconciler(), w.reconcilerOf(other)
	if _, err := w.store.ClaimTask(t.Context(), store.Task{Name: reconcile.Task, Owner: theirs.Instance}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Turn(t.Context()); err != reconcile.ErrReconciling {
		t.Errorf("while another replica is at it: %v", err)
	}
	for _, step := range []struct {
		r       *reconcile.Reconciler
		forward time.Duration
		want    error
	}{
		{theirs, 0, nil}, {mine, 0, reconcile.ErrNotDue}, {theirs, 59 * time.Minute, reconcile.ErrNotDue}, {mine, time.Minute, nil}, {theirs, 0, reconcile.ErrNotDue},
	} {
		s.clock.Advance(step.forward)
		if _, err := step.r.Turn(t.Context()); err != step.want {
			t.Errorf("got %v, want %v", err, step.want)
		}
	}
}

// The server does so by itself, until it stops.
func TestReconcilingRuns(t *testing.T) {
	t.Parallel()
	w, c, _ := newbie(t, profileNew())
	w.db.Exec(t, deleteAda)
	c.Advance(time.Hour)
	r := w.reconciler()
	r.Interval = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()
	eventually(t, "off-boarded", func() bool { return w.status(t, ada) == store.Offboarded })
	eventually(t, "the summary is logged", func() bool { return strings.Contains(w.log.String(), "1 off-boarded") })
	cancel()
	<-ended
}

func TestReconcilingSaysWhatToGrant(t *testing.T) {
	t.Parallel()
	w, _, key := newbie(t, profileNew())
	w.db.Exec(t, `revoke execute on function coderhook.auth_users_state from coderhook`)
	_, err := w.reconciler().Reconcile(t.Context(), false)
	if err == nil || !strings.Contains(err.Error(), "execute on function coderhook.auth_users_state(uuid[])") {
		t.Errorf("got %v", err)
	}
	w.wantWorkingKey(t, key, "ada@example.com")
}

// Whoever is being worked for is left to the next run.
func TestReconcilingDoesNotDisturb(t *testing.T) {
	t.Parallel()
	w, c, key := newbie(t, profileNew())
	w.db.Exec(t, banAda)
	w.db.Exec(t, `update coderhook.accounts set lease_owner = 'somebody', lease_until = now() + interval '1 hour'`)
	c.Advance(time.Hour)
	r := w.reconciler()
	w.reconcile(t, r, reconcile.Summary{Busy: 1})
	w.wantWorkingKey(t, key, "ada@example.com")
	w.db.Exec(t, `update coderhook.accounts set lease_until = now()`)
	w.reconcile(t, r, reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1})
}

// promote gives a Coder user a site role, as an operator does.
func (w *world) promote(t *testing.T, username, role string) {
	t.Helper()
	w.coder.SetRoles(username, role)
	if user, err := w.client.User(t.Context(), username); err != nil || len(user.Roles) != 1 {
		t.Fatalf("%+v, %v", user, err)
	}
}

// An account that we made does not outlive its user's leaving because it rose in Coder.
func TestAdminsThatWeMadeAreSuspended(t *testing.T) {
	t.Parallel()
	w, _, _ := newbie(t, profileNew())
	w.promote(t, "ada0ada0", "user-admin")
	w.db.Exec(t, banAda)
	w.reconcile(t, w.reconciler(), reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1})
	if got := w.adaInCoder(t); got.Status != "suspended" {
		t.Errorf("she is %s", got.Status)
	}
}

// Coder does not suspend owners: every run says so until somebody has taken the role away.
func TestOwnersWhoLeaveAreReported(t *testing.T) {
	t.Parallel()
	w, _, _ := newbie(t, profileNew())
	w.promote(t, "ada0ada0", "owner")
	w.db.Exec(t, banAda)
	r := w.reconciler()
	w.reconcile(t, r, reconcile.Summary{Tokens: 1, Failed: 1})
	if !strings.Contains(w.log.String(), "Coder suspends no owners") || len(w.tokensOfAda()) != 0 {
		t.Errorf("%d tokens left, log:\n%s", len(w.tokensOfAda()), w.log.String())
	}
	w.reconcile(t, r, reconcile.Summary{Failed: 1})
	w.coder.SetRoles("ada0ada0")
	w.reconcile(t, r, reconcile.Summary{Offboarded: 1, Suspended: 1})
}

// An emptied auth.users looks as if everybody had left: nobody is off-boarded for missing there. Soft deletions
// are carried out, however many.
func TestReconcilingRefusesToOffboardEverybody(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		accounts, here int
		refused        bool
	}{
		"ten of a few":       {10, 0, false},
		"eleven of a few":    {11, 0, true},
		"a fifth of many":    {60, 48, false},
		"more than a fifth":  {60, 47, true},
		"who left long ago":  {60, 47, true},
		"deleted, but there": {11, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c := clocked(t, profileNew())
			w.addAccounts(t, test.accounts)
			w.db.Exec(t, `insert into auth.users (id) select user_id from coderhook.accounts order by user_id limit $1`, test.here)
			switch name {
			case "who left long ago": // do not make the product any larger
				w.db.Exec(t, `insert into coderhook.accounts (user_id, status) select gen_random_uuid(), 'offboarded' from generate_series(1, 50)`)
			case "deleted, but there":
				w.db.Exec(t, `insert into auth.users (id, deleted_at) select user_id, now() from coderhook.accounts`)
			}
			c.Advance(time.Hour)
			w.coder.ForgetRequests()
			r := w.reconciler()
			gone := test.accounts - test.here
			want := reconcile.Summary{Offboarded: gone, Suspended: gone, Tokens: gone}
			if !test.refused {
				w.reconcile(t, r, want)
				return
			}
			_, err := r.Turn(t.Context())
			for _, part := range []string{fmt.Sprintf("of %d accounts", test.accounts), fmt.Sprintf("the users of %d are not", gone), "These were not touched", "coderhook reconcile --force"} {
				if !errors.Is(err, reconcile.ErrManyGone) || !strings.Contains(err.Error(), part) {
					t.Fatalf("%q is not in: %v", part, err)
				}
			}
			if n := w.suspended(); n > 0 {
				t.Errorf("%d are suspended", n)
			}
			if sum, err := r.Reconcile(t.Context(), true); !errors.Is(err, reconcile.ErrManyGone) || sum.Offboarded != gone {
				t.Errorf("the dry run says %s, %v", sum, err)
			}
			r.Force = true
			w.reconcile(t, r, want)
		})
	}
}

// suspended counts the Coder users who are.
func (w *world) suspended() (n int) {
	for _, user := range w.coder.Users() {
		if user.Status == "suspended" {
			n++
		}
	}
	return n
}

// A person may name a token of their own much like ours.
func TestTokensThatAreNamedMuchLikeOursStay(t *testing.T) {
	t.Parallel()
	w, c := conflict(t, ownAccount)
	if _, err := w.link(t, "lovelace"); err != nil {
		t.Fatal(err)
	}
	w.mintAda(t)
	w.settled()
	theirs := []string{"her-own", "supabase-deploy-ci", "supabase-abcdefgh234", "supabase-abcdefgh23456", "supabase-ABCDEFGH2345", "my-supabase-abcdefgh2345"}
	for _, name := range theirs[1:] {
		w.coder.AddToken("lovelace", name, 30*authtest.Day)
	}
	w.coder.AddToken("lovelace", ourToken, 30*authtest.Day)
	c.Advance(10 * time.Hour)
	w.reconcile(t, w.reconciler(), reconcile.Summary{Tokens: 1})
	w.db.Exec(t, deleteAda)
	w.reconcile(t, w.reconciler(), reconcile.Summary{Offboarded: 1, Tokens: 1})
	left := w.coder.TokensOf("lovelace")
	for _, token := range left {
		if !slices.Contains(theirs, token.TokenName) {
			t.Errorf("%s is left", token.TokenName)
		}
	}
	if len(left) != len(theirs) {
		t.Errorf("%d of %d are left: %+v", len(left), len(theirs), left)
	}
}

// One account for which Coder has only errors does not keep those behind it waiting; many do.
func TestReconcilingPassesByAFailingAccount(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		failing int
		want    reconcile.Summary
		ends    bool
	}{
		"one":   {1, reconcile.Summary{Accounts: 5, Failed: 1, Offboarded: 4, Suspended: 4, Tokens: 4}, false},
		"two":   {2, reconcile.Summary{Accounts: 5, Failed: 2, Offboarded: 3, Suspended: 3, Tokens: 3}, false},
		"three": {3, reconcile.Summary{Accounts: 3, Failed: 3}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, c := clocked(t, profileNew())
			w.addAccounts(t, 5)
			c.Advance(time.Hour)
			for i := range test.failing {
				user, _ := w.coder.User(fmt.Sprintf("%08x", i+1))
				w.coder.Fail(codertest.Fault{Method: "PUT", Path: "/users/" + user.ID.String() + "/status/suspend", Status: 500, Body: `{"message":"Internal error."}`})
			}
			sum, err := w.reconciler().Reconcile(t.Context(), false)
			if ended := errors.Is(err, coderclient.ErrUnavailable); sum != test.want || ended != test.ends {
				t.Errorf("got  %s, %v\nwant %s", sum, err, test.want)
			}
		})
	}
}
