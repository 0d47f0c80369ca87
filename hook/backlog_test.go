package hook

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook/pace"
	"coderhook/hook/provision"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// burst is many first sign-ins at the same time.
type burst struct {
	users  []uuid.UUID
	mu     sync.Mutex
	faults []string
}

func (b *burst) email(n int) string { return fmt.Sprintf("user%d@example.com", n) }

// signIn has all users sign in, 64 at a time, at the replicas in turn.
func (b *burst) signIn(t *testing.T, replicas ...*replica) {
	t.Helper()
	next := make(chan int)
	var minting sync.WaitGroup
	for range 64 {
		minting.Go(func() {
			for n := range next {
				got := replicas[n%len(replicas)].mint(t, b.users[n], b.email(n))
				if got.status != http.StatusOK {
					b.mu.Lock()
					b.faults = append(b.faults, fmt.Sprintf("%s: %d %s", b.email(n), got.status, got.body))
					b.mu.Unlock()
				}
			}
		})
	}
	for n := range b.users {
		next <- n
	}
	close(next)
	minting.Wait()
	if len(b.faults) > 0 {
		t.Errorf("%d sign-ins of %d: %s", len(b.faults), len(b.users), strings.Join(b.faults, "; "))
	}
}

func newBurst(t *testing.T, w *world, users int) *burst {
	t.Helper()
	b := &burst{}
	for n := range users {
		b.users = append(b.users, w.db.AddUser(t, b.email(n)))
	}
	return b
}

// wantKeys waits until everybody has a key, and checks that nobody has two or another account.
func (b *burst) wantKeys(t *testing.T, w *world) {
	t.Helper()
	began, moved := time.Now(), time.Now()
	for missing, before := -1, -1; missing != 0; before = missing {
		missing = count(t, w, `select count(*) from auth.users u left join public.profiles p using (id) where p.api_key is null`)
		if missing != before {
			moved = time.Now()
		}
		if time.Since(moved) > patience {
			t.Fatalf("%d users without a key, and for %s nobody got one", missing, patience)
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Logf("everybody has a key after %s", time.Since(began).Round(time.Millisecond))
	if users := w.coder.Users(); len(users) != len(b.users) {
		t.Errorf("Coder has %d users, want %d", len(users), len(b.users))
	}
	for _, user := range w.coder.Users() {
		if keys := w.coder.TokensOf(user.Username); len(keys) != 1 {
			t.Errorf("%s has %d tokens, want 1", user.Username, len(keys))
		}
	}
}

func count(t *testing.T, w *world, sql string) int {
	t.Helper()
	return storetest.QueryAll[int](t, w.db, sql)[0]
}

var (
	burstUsers  = flag.Int("burst.users", 500, "first sign-ins in TestBurst; Coder's limit is about a quarter of them, as 512 of 2000: task burst")
	burstWindow = flag.Duration("burst.window", 2*time.Second, "window of Coder's rate limit in TestBurst; the real one is 1m")
)

// Coder takes 512 new users a minute. In a burst of 2,000 first sign-ins, or the like of it, none fails or waits long,
// and all have a key as soon as the limit lets Coder make it: the first 512 at once, after a
// window's rest the others at nine tenths of the limit.
func TestBurst(t *testing.T) {
	t.Parallel()
	for name, replicas := range map[string]int{"one server": 1, "four replicas": 4} {
		t.Run(name, func(t *testing.T) {
			users, limit := *burstUsers, *burstUsers*512/2000
			s := patient()
			w := newWorld(t, s)
			all := []*replica{w.replica}
			for len(all) < replicas {
				all = append(all, w.start(t, s))
			}
			b := newBurst(t, w, users)
			w.coder.Configure(func(set *codertest.Settings) { set.RateLimit, set.RateWindow = limit, *burstWindow })
			b.signIn(t, all...)
			dictated := time.Duration((1 + float64(users-limit)/(pace.Share*float64(limit))) * float64(*burstWindow))
			t.Logf("the limit dictates %s", dictated)
			b.wantKeys(t, w)
			t.Logf("%d requests for %d users", w.countCalls("POST", "/users"), users)
		})
	}
}

// After the rest the pace belongs to the backlog and to newcomers alike. Who would wait for long is
// answered at once, as during the rest: "pending" would mean that the whole deadline went by.
func TestNobodyWaitsForTheBacklog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	b := newBurst(t, w, 60)
	w.coder.Configure(func(set *codertest.Settings) { set.RateLimit, set.RateWindow = 20, 2*time.Second })
	waiting, newcomers := &burst{users: b.users[:30]}, b.users[30:]
	waiting.signIn(t, w.replica)
	eventually(t, "the rest begins", func() bool { return w.Keyring.Provisioner.Accounts.Pace.Rest() > 0 })
	eventually(t, "the rest is over", func() bool { return w.Keyring.Provisioner.Accounts.Pace.Rest() == 0 })
	var minting sync.WaitGroup
	for n, user := range newcomers {
		minting.Go(func() {
			if got := w.mint(t, user, b.email(30+n)); got.keyStatus(t) == string(provision.StatusPending) {
				t.Errorf("%s waited", b.email(30+n))
			}
		})
	}
	minting.Wait()
	b.wantKeys(t, w)
}

// Who signed in while Coder was down has a key soon after it is back, without another mint.
func TestBacklogIsWorkedOffWhenCoderIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	b := newBurst(t, w, 20)
	back := w.coder.Fail(codertest.Fault{Reset: true})
	b.signIn(t, w.replica)
	if got := w.mint(t, b.users[0], b.email(0)); got.keyStatus(t) != "unavailable" {
		t.Errorf("got %s", got.body)
	}
	back()
	eventually(t, "Coder is back", func() bool { return w.client.Probe(t.Context()) == nil })
	b.wantKeys(t, w)
	if left := w.late(); left != 0 {
		t.Errorf("%d are still in the backlog", left)
	}
}

// For whom nothing was tried, as Coder was known to be down, it is tried when Coder is back.
func TestBacklogIsWorkedOffForWhoCameLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, impatient())
	back := w.coder.Fail(codertest.Fault{Reset: true})
	for w.client.Available() {
		_ = w.client.Probe(t.Context())
	}
	user := w.db.AddUser(t, "late@example.com")
	if got := w.mint(t, user, "late@example.com"); got.keyStatus(t) != "unavailable" {
		t.Errorf("got %s", got.body)
	}
	back()
	eventually(t, "Coder is back", func() bool { return w.client.Probe(t.Context()) == nil })
	eventually(t, "who came late has a key", func() bool { return w.stored(t, user) != "" })
}

// idle: nobody is at the backlog.
func (r *replica) idle() bool {
	return !r.Keyring.Provisioner.Load().WorkingOff
}

func (r *replica) late() int {
	return r.Keyring.Provisioner.Load().Queued
}

// One failure is tried again after a second, not at once and not for ever.
func TestBacklogTriesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	b := newBurst(t, w, 1)
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users/*/keys/tokens", Status: 500, Times: 2})
	b.signIn(t, w.replica)
	b.wantKeys(t, w)
	if tries := w.countCalls("POST", "/tokens"); tries != 3 {
		t.Errorf("%d tries, want 3", tries)
	}
}

// Nobody gets an account who was banned or left while they waited, or whose token has ended.
func TestBacklogForgetsWhoLeft(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]struct {
		sql   string // of the user $1
		after time.Duration
	}{
		"banned":  {`update auth.users set banned_until = now() + interval '1 hour' where id = $1`, 0},
		"deleted": {`delete from auth.users where id = $1`, 0},
		// Until then it may be a sign-up that is not committed.
		"rolled back": {`with seen as (delete from auth.users where id = $1) select set_config('coderhook.departure_missed', 'yes', true)`, time.Minute},
		"expired":     {`select $1::uuid`, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, clock := clocked(t, patient())
			user := w.db.AddUser(t, "ada@example.com")
			back := w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Status: 500})
			w.mint(t, user, "ada@example.com")
			eventually(t, "it has failed", func() bool { return w.late() == 1 })
			w.db.Exec(t, left.sql, user)
			clock.Advance(left.after)
			back()
			eventually(t, "it was tried again", func() bool { return w.idle() && w.jobs() == 0 })
			if n := w.countCalls("POST", "/users"); n != 1 {
				t.Errorf("asked %d times for an account, want only the time that failed", n)
			}
		})
	}
}

// A mint that finds the backlog at work for its user is answered before anything is written, as any other.
func TestMintThatJoinsTheBacklogIsAnsweredFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := w.db.AddUser(t, "ada@example.com")
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Status: 500, Times: 1})
	w.mint(t, user, "ada@example.com")
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users/*/keys/tokens", Delay: 500 * time.Millisecond, Times: 1})
	eventually(t, "the backlog is at it", func() bool { return w.countCalls("POST", "/tokens") == 1 })
	sent := &watchedWriter{ResponseRecorder: httptest.NewRecorder()}
	sent.onFlush = func() { w.wantNothingStored(t, user) }
	w.Handler().ServeHTTP(sent, w.request(t, user, "ada@example.com"))
	if !strings.Contains(sent.Body.String(), `"api_key":"`) {
		t.Errorf("got %s", sent.Body)
	}
	eventually(t, "the key is stored", func() bool { return w.stored(t, user) != "" })
}

// Storing what was made for sign-ups that are never committed takes half a minute, but holds up nobody.
func TestBacklogGoesOnWhileKeysWaitToBeStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	ghosts := w.Keyring.Provisioner.Concurrency
	back := w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Status: 429, Header: http.Header{"Retry-After": {"2"}, "X-Ratelimit-Limit": {"1000"}}})
	for n := range ghosts {
		w.mint(t, uuid.New(), fmt.Sprintf("ghost%d@example.com", n))
	}
	user := w.db.AddUser(t, "ada@example.com")
	w.mint(t, user, "ada@example.com")
	back()
	eventually(t, "the key is stored", func() bool { return w.stored(t, user) != "" })
	w.db.Exec(t, `insert into auth.users (id, email) select user_id, user_id || '@example.com' from coderhook.accounts on conflict do nothing`)
}

// A sign-up that is not committed after a second is no user who left.
func TestBacklogWaitsForTheSignUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := uuid.New()
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Status: 500, Times: 1})
	w.mint(t, user, "ada@example.com")
	eventually(t, "it was tried again", func() bool { return len(w.coder.Users()) == 1 })
	w.db.Exec(t, `insert into auth.users (id, email) values ($1, 'ada@example.com')`, user)
	eventually(t, "the key is stored", func() bool { return w.stored(t, user) != "" })
}

// The server stops at once, whoever waits.
func TestBacklogEndsWithTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	b := newBurst(t, w, 5)
	w.coder.Configure(func(set *codertest.Settings) { set.RateLimit = 1 })
	b.signIn(t, w.replica)
	eventually(t, "four wait", func() bool { return w.late() == 4 })
	if err := w.Keyring.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// The backlog is bounded: who finds no place is served at their next mint.
func TestBacklogIsFull(t *testing.T) {
	t.Parallel()
	s := impatient()
	s.options.Backlog = 2
	w := newWorld(t, s)
	b := newBurst(t, w, 5)
	back := w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Status: 500})
	b.signIn(t, w.replica)
	eventually(t, "all have failed", func() bool { return w.jobs() == 0 })
	if late := w.late(); late != 2 {
		t.Errorf("%d in the backlog, want 2", late)
	}
	back()
	eventually(t, "Coder is back", func() bool { return w.client.Probe(t.Context()) == nil })
	b.signIn(t, w.replica)
	b.wantKeys(t, w)
}

// A mint that finds a job for an older token does not get its key if that dies before its own.
func TestJobForAnOlderToken(t *testing.T) {
	t.Parallel()
	s := patient()
	w := newWorld(t, s)
	user := w.db.AddUser(t, "ada@example.com")
	w.coder.Configure(func(set *codertest.Settings) { set.DefaultTokenLifetime = 90 * time.Minute })
	slow := w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Delay: 300 * time.Millisecond})
	defer slow()
	var first sync.WaitGroup
	first.Go(func() { w.mint(t, user, "ada@example.com") })
	eventually(t, "the job has begun", func() bool { return w.jobs() == 1 })
	claims := claimsOf(user, "ada@example.com")
	claims["exp"] = time.Now().Add(2 * time.Hour).Unix()
	if got := w.mintClaims(t, user, claims); got.key(t) != "" {
		t.Errorf("the token lives longer than its key: %s", got.body)
	}
	first.Wait()
}
