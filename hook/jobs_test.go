package hook

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/keyring"
	"coderhook/hook/provision"

	"github.com/google/uuid"
)

// Nothing is written to the profile before the answer has left: Supabase Auth may hold the row.
func TestKeyIsStoredAfterTheAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := w.db.AddUser(t, "ada@example.com")
	sent := &watchedWriter{ResponseRecorder: httptest.NewRecorder()}
	sent.onFlush = func() { w.wantNothingStored(t, user) }
	w.Handler().ServeHTTP(sent, w.request(t, user, "ada@example.com"))
	if !sent.Flushed {
		t.Error("the answer waits in a buffer")
	}
	eventually(t, "the key is stored", func() bool { return w.stored(t, user) != "" })
}

// wantNothingStored looks for long enough for a job that would not wait: it takes some milliseconds.
func (w *world) wantNothingStored(t *testing.T, user uuid.UUID) {
	t.Helper()
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); <-time.After(10 * time.Millisecond) {
		if key := w.stored(t, user); key != "" {
			t.Fatalf("key %.10s is stored before the answer has left", key)
		}
	}
}

// request is a mint that goes through no network.
func (w *world) request(t *testing.T, user uuid.UUID, email string) *http.Request {
	t.Helper()
	body := authtest.JSON(t, map[string]any{"user_id": user.String(), "claims": claimsOf(user, email)})
	request := httptest.NewRequest(http.MethodPost, "/hooks/custom-access-token", bytes.NewReader(body))
	request.Header = authtest.Sign(t, authtest.SecretA, "id", time.Now(), body)
	return request
}

type watchedWriter struct {
	*httptest.ResponseRecorder
	onFlush func()
}

func (w *watchedWriter) Flush() {
	w.onFlush()
	w.ResponseRecorder.Flush()
}

// A lease is renewed for as long as the work goes on: no other replica joins in.
func TestLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.LeaseTTL = 300 * time.Millisecond
	w := newWorld(t, s)
	other := w.start(t, s)
	user := w.db.AddUser(t, "ada@example.com")
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Delay: time.Second, Times: 1})
	var minting sync.WaitGroup
	for _, r := range []*replica{w.replica, other} {
		minting.Go(func() { r.mint(t, user, "ada@example.com") })
	}
	minting.Wait()
	creates := 0
	for _, r := range w.coder.Requests() {
		if r.Method == http.MethodPost && strings.HasSuffix(r.Path, "/users") {
			creates++
		}
	}
	if creates != 1 {
		t.Errorf("%d replicas made the user", creates)
	}
}

// Who lost the lease stops working: what it would make is not wanted.
func TestLostLeaseEndsTheWork(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.LeaseTTL = 100 * time.Millisecond
	s.server = func(s *Server) { s.Deadline = 200 * time.Millisecond }
	s.coder.CallTimeout = time.Minute
	w := newWorld(t, s)
	user := w.db.AddUser(t, "ada@example.com")
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Hang: true})
	w.mint(t, user, "ada@example.com")
	w.db.Exec(t, `update coderhook.accounts set lease_owner = 'another replica', lease_until = now() + interval '1 hour'`)
	eventually(t, "the work ends", func() bool { return w.jobs() == 0 })
	if got := w.account(t, user); !got.Leased {
		t.Error("the other's lease was released")
	}
}

func (w *world) jobs() int {
	return w.Keyring.Provisioner.Load().Jobs
}

// Those who wait for another replica's lease hold no slot, and leave none behind.
func TestWaitingForALeaseHoldsNoSlot(t *testing.T) {
	t.Parallel()
	s := impatient()
	s.options.Concurrency = 1
	w := newWorld(t, s)
	waiting := w.db.AddUser(t, "ada@example.com")
	w.db.Exec(t, `insert into coderhook.accounts (user_id, lease_owner, lease_until) values ($1, 'another replica', now() + interval '1 hour')`, waiting)
	if got := w.mint(t, waiting, "ada@example.com"); got.keyStatus(t) != "pending" {
		t.Errorf("got %s", got.body)
	}
	for _, email := range []string{"bob@example.com", "cleo@example.com"} {
		if got := w.mint(t, w.db.AddUser(t, email), email); got.key(t) == "" {
			t.Errorf("%s got %s", email, got.body)
		}
	}
	// The other replica finishes, and with all slots taken here its key is seen all the same.
	w.coder.Fail(codertest.Fault{Hang: true})
	busy := w.db.AddUser(t, "dora@example.com")
	w.mint(t, busy, "dora@example.com")
	const key = "AbCdEfGhIj-0123456789012345678901"
	w.db.Exec(t, `insert into public.profiles (id, api_key) values ($1, $2)`, waiting, key)
	if got := w.mint(t, waiting, "ada@example.com"); got.key(t) != key {
		t.Errorf("got %s", got.body)
	}
}

// stubCoder counts who is in it at the same time, and can panic.
type stubCoder struct {
	keyring.Coder
	now, most atomic.Int32
	entered   chan struct{}
	leave     chan struct{}
}

func (c *stubCoder) CreateUser(ctx context.Context, u coderclient.NewUser) (coderclient.User, error) {
	if c.entered == nil {
		panic("broken")
	}
	c.most.Store(max(c.most.Load(), c.now.Add(1)))
	defer c.now.Add(-1)
	c.entered <- struct{}{}
	<-c.leave
	return c.Coder.CreateUser(ctx, u)
}

func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.Concurrency = 2
	w := newWorld(t, s)
	stub := &stubCoder{Coder: w.client, entered: make(chan struct{}, 10), leave: make(chan struct{})}
	w.useCoder(stub)
	var minting sync.WaitGroup
	for _, email := range []string{"a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com"} {
		user := w.db.AddUser(t, email)
		minting.Go(func() {
			if got := w.mint(t, user, email); got.key(t) == "" {
				t.Errorf("%s got %s", email, got.body)
			}
		})
	}
	<-stub.entered
	<-stub.entered
	close(stub.leave)
	minting.Wait()
	if most := stub.most.Load(); most > 2 {
		t.Errorf("%d at a time, want at most 2", most)
	}
}

// A panic costs one sign-in its key, not the server, and leaves neither lease nor slot behind.
func TestPanicInAJob(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.Concurrency = 1
	w := newWorld(t, s)
	user := w.db.AddUser(t, "ada@example.com")
	w.useCoder(&stubCoder{Coder: w.client})
	if got := w.mint(t, user, "ada@example.com"); got.status != 200 || got.keyStatus(t) != "unavailable" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	eventually(t, "the lease is given back", func() bool { return !w.leased(t, user) })
	w.useCoder(w.client)
	if got := w.mint(t, user, "ada@example.com"); got.key(t) == "" {
		t.Errorf("got %s", got.body)
	}
}

// An account that was there before is not taken away with a sign-up that never was.
func TestRolledBackSignUpKeepsAdoptedUser(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.PersistPatience = 50 * time.Millisecond
	w := newWorld(t, s)
	w.coder.AddUser("ada0ada0", "ada@example.com", "none")
	if got := w.mint(t, ada, "ada@example.com"); got.key(t) == "" { // ada is in no transaction at all
		t.Fatalf("got %s", got.body)
	}
	eventually(t, "the job ends", func() bool { return w.jobs() == 0 && !w.leased(t, ada) })
	w.wantOneUser(t, 0)
}

// After Stop nobody starts anything.
func TestNoNewWorkWhileStopping(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := w.db.AddUser(t, "ada@example.com")
	if err := w.Keyring.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.mint(t, user, "ada@example.com"); got.keyStatus(t) != "pending" || len(w.coder.Requests()) > 0 {
		t.Errorf("got %s after %v", got.body, w.coder.Requests())
	}
}

// The Coder user's id is in the ledger before there is a key: a crash finds it by its id.
func TestCoderUserIsRecordedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, impatient())
	user := w.db.AddUser(t, "ada@example.com")
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users/*/keys/tokens", Status: 500})
	w.mint(t, user, "ada@example.com")
	if got := w.account(t, user); got.CoderUserID == uuid.Nil || got.CoderUserID != w.coder.Users()[0].ID {
		t.Errorf("ledger knows %s", got.CoderUserID)
	}
}

// A key that was made for another token of the user's, and that dies before this one, is not all that can be had.
func TestAKeyForAnotherTokenIsTooShort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := w.db.AddUser(t, "ada@example.com")
	p := w.Keyring.Provisioner
	p.Keys.Lifetime = 2 * time.Minute
	other := p.Provision(t.Context(), provision.Request{User: user, Email: "ada@example.com", Until: w.Now().Add(time.Minute)})
	if other.Err != nil {
		t.Fatal(other.Err)
	}
	p.Keys.Lifetime = 0 // the other's answer is not out yet, so that its job is not over
	if got := w.mint(t, user, "ada@example.com"); got.key(t) == "" || got.key(t) == other.Key {
		t.Errorf("got %s", got.body)
	}
	other.Answered()
	w.wantOneUser(t, 2)
}
