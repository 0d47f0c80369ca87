package hook

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
)

// impatient keeps tests with faults short: what a real deployment waits seconds for.
func impatient() settings {
	s := patient()
	s.server = func(s *Server) { s.Deadline = time.Second }
	s.coder.CallTimeout = 300 * time.Millisecond
	s.coder.Breaker.CoolDown = 50 * time.Millisecond
	return s
}

// Whatever Coder does, the sign-in goes on, in time, and later mints heal.
func TestCoderFaults(t *testing.T) {
	t.Parallel()
	html := http.Header{"Content-Type": {"text/html"}}
	for name, test := range map[string]struct {
		fault codertest.Fault
		want  string
	}{
		"hanging":           {codertest.Fault{Hang: true}, "unavailable pending"},
		"slow":              {codertest.Fault{Delay: time.Second}, "unavailable pending"},
		"500":               {codertest.Fault{Status: 500}, "unavailable pending"},
		"502 with HTML":     {codertest.Fault{Status: 502, Header: html, Body: "<h1>Bad Gateway</h1>", Proxy: true}, "unavailable pending"},
		"429":               {codertest.Fault{Status: 429, Header: http.Header{"Retry-After": {"60"}}, Body: `{"message":"You've been rate limited"}`}, "unavailable"},
		"429 on create":     {codertest.Fault{Method: "POST", Path: "/users", Status: 429, Header: http.Header{"Retry-After": {"60"}}}, "unavailable"},
		"connection reset":  {codertest.Fault{Reset: true}, "unavailable pending"},
		"401":               {codertest.Fault{Status: 401, Body: `{"message":"You are signed out"}`}, "unavailable"},
		"rubbish for user":  {codertest.Fault{Method: "POST", Path: "/users", Status: 201, Body: `{"id":`}, "unavailable"},
		"empty for user":    {codertest.Fault{Method: "POST", Path: "/users", Status: 201}, "unavailable"},
		"rubbish for token": {codertest.Fault{Method: "POST", Path: "/users/*/keys/tokens", Status: 201, Body: `{"key":"<script>"}`}, "unavailable"},
		"HTML for token":    {codertest.Fault{Method: "POST", Path: "/users/*/keys/tokens", Status: 201, Header: html, Body: "<p>Welcome"}, "unavailable"},
		"500 for token":     {codertest.Fault{Method: "POST", Path: "/users/*/keys/tokens", Status: 500}, "unavailable"},
		"500 for expiry":    {codertest.Fault{Method: "GET", Path: "/users/*/keys/*", Status: 500}, "unavailable pending"},
		"user, reply lost":  {codertest.Fault{Method: "POST", Path: "/users", Reset: true, AfterActing: true}, "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := impatient()
			s.server = func(s *Server) { s.Deadline = 2 * time.Second } // its twentieth is for the way back, on any machine
			w := newWorld(t, s)
			user := w.db.AddUser(t, "ada@example.com")
			remove := w.coder.Fail(test.fault)
			for range 3 {
				got := w.mint(t, user, "ada@example.com")
				if got.status != 200 || got.key(t) != "" || !strings.Contains(test.want, got.keyStatus(t)) || got.keyStatus(t) == "" {
					t.Errorf("%d %s", got.status, got.body)
				}
			}
			remove()
			w.heals(t, user)
		})
	}
}

// heals waits for a mint with a working key, and checks that all that failed before left one user.
func (w *world) heals(t *testing.T, user uuid.UUID) {
	t.Helper()
	var key string
	eventually(t, "a later mint heals", func() bool {
		_ = w.client.Probe(t.Context()) // as serve does while Coder is not available
		key = w.mint(t, user, "ada@example.com").key(t)
		return key != ""
	})
	w.wantWorkingKey(t, key, "ada@example.com")
	if users := w.coder.Users(); len(users) != 1 {
		t.Errorf("Coder has %d users: %+v", len(users), users)
	}
	eventually(t, "stored", func() bool { return w.stored(t, user) == key })
}

func TestCoderDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, impatient())
	user := w.db.AddUser(t, "ada@example.com")
	w.coder.Close()
	for range 3 {
		if got := w.mint(t, user, "ada@example.com"); !slices.Contains([]string{"pending", "unavailable"}, got.keyStatus(t)) {
			t.Errorf("got %s", got.body)
		}
	}
}

// Once Coder is known to be down nobody waits for it, and it is not asked either.
func TestOpenBreaker(t *testing.T) {
	t.Parallel()
	s := impatient()
	s.coder.Breaker.CoolDown = time.Hour
	w := newWorld(t, s)
	user := w.db.AddUser(t, "ada@example.com")
	w.coder.Fail(codertest.Fault{Hang: true})
	eventually(t, "the breaker opens", func() bool {
		w.mint(t, user, "ada@example.com")
		return !w.client.Available()
	})
	w.coder.ForgetRequests()
	for range 5 {
		if got := w.mint(t, user, "ada@example.com"); got.keyStatus(t) != "unavailable" {
			t.Errorf("got %s", got.body)
		}
	}
	if calls := w.coder.Requests(); len(calls) > 0 {
		t.Errorf("Coder was asked: %v", calls)
	}
	other := w.db.AddUser(t, "bob@example.com")
	if w.mint(t, other, "bob@example.com"); w.account(t, other).Known {
		t.Error("a lease was taken for work that can't be done")
	}
}

// A mint that could not wait is not work lost: the next one finds the key.
func TestWorkGoesOnAfterTheDeadline(t *testing.T) {
	t.Parallel()
	s := patient()
	s.server = func(s *Server) { s.Deadline = 100 * time.Millisecond }
	s.coder.CallTimeout = time.Hour // so that it is the deadline that ends the waiting
	w := newWorld(t, s)
	user := w.db.AddUser(t, "ada@example.com")
	answer := make(chan struct{})
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Until: answer})
	eventually(t, "Coder is asked", func() bool {
		if got := w.mint(t, user, "ada@example.com"); got.key(t) != "" || got.keyStatus(t) == "conflict" {
			t.Errorf("got %s before Coder has answered", got.body)
		}
		return w.countCalls("POST", "/users") > 0
	})
	close(answer)
	eventually(t, "the key is stored", func() bool { return w.stored(t, user) != "" })
	eventually(t, "a look-up within the deadline", func() bool { return w.mint(t, user, "ada@example.com").key(t) != "" })
	w.wantWorkingKey(t, w.stored(t, user), "ada@example.com")
	w.wantOneUser(t, 1)
}

func TestRejectOnError(t *testing.T) {
	t.Parallel()
	s := impatient()
	s.server = func(s *Server) { s.RejectOnError = true }
	w := newWorld(t, s)
	user := w.db.AddUser(t, "ada@example.com")
	w.coder.Fail(codertest.Fault{Status: 500})
	got := w.mint(t, user, "ada@example.com")
	if got.status != 200 || !strings.HasPrefix(string(got.body), `{"error":{"http_code":503,"message":"`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := w.db.AddUser(t, "ada@example.com")
	w.store.Close()
	if got := w.mint(t, user, "ada@example.com"); got.status != 200 || got.keyStatus(t) != "unavailable" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// The look-up waits for a lock no longer than the deadline lets it.
func TestDatabaseHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, impatient())
	user := w.db.AddUser(t, "ada@example.com")
	migration := w.db.Begin(t)
	migration.Exec(t, `lock table coderhook.accounts in access exclusive mode`)
	if got := w.mint(t, user, "ada@example.com"); got.status != 200 || got.keyStatus(t) != "unavailable" {
		t.Errorf("%d %s", got.status, got.body)
	}
	migration.Exec(t, "rollback")
	w.heals(t, user)
}

// A table of the product's that takes no key must not cost a Coder token at every mint. The one that was handed
// out works for as long as its JWT.
func TestProfileRefusesTheKey(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.RetryConflict = time.Hour
	w := newWorld(t, s)
	w.db.Exec(t, `alter table public.profiles add column username text not null`)
	user := w.db.AddUser(t, "ada@example.com")
	w.mint(t, user, "ada@example.com")
	eventually(t, "the conflict is recorded", func() bool { return w.status(t, user) == store.Conflict })
	w.wantOneUser(t, 1)
	w.coder.ForgetRequests()
	if got := w.mint(t, user, "ada@example.com"); got.keyStatus(t) != "conflict" || len(w.coder.Requests()) > 0 {
		t.Errorf("got %s, after %v", got.body, w.coder.Requests())
	}
}

// Whoever lost the lease while its key waits to be stored does not store it: the other's key
// counts. But an answer has carried it, so it is kept for as long.
func TestLeaseLostWhileStoring(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.LeaseTTL = 100 * time.Millisecond
	w := newWorld(t, s)
	user := uuid.New()
	signUp := w.db.Begin(t)
	signUp.Exec(t, `insert into auth.users (id, email) values ($1, 'ada@example.com')`, user)
	if w.mint(t, user, "ada@example.com").key(t) == "" {
		t.Fatal("no key")
	}
	w.wantOneUser(t, 1)
	w.db.Exec(t, `update coderhook.accounts set lease_owner = 'another replica', lease_until = now() + interval '1 hour'`)
	eventually(t, "our token is retired", func() bool {
		return storetest.Query[int](t, w.db, `select count(*) from coderhook.retired_keys`) == 1
	})
	w.wantOneUser(t, 1)
	signUp.Exec(t, "commit")
	if got := w.stored(t, user); got != "" {
		t.Errorf("the loser's key %.10s was stored", got)
	}
}

// Many sign-ins that hold their profiles locked take no connection from those that only look up.
func TestLockedProfilesDoNotSlowOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.db.Script(t, pgserver.NewUserTriggerSQL)
	reader := w.db.AddUser(t, "reader@example.com")
	first := w.mint(t, reader, "reader@example.com").key(t)
	eventually(t, "stored", func() bool { return w.stored(t, reader) == first })

	signUps := w.db.Begin(t)
	var minting sync.WaitGroup
	for i := range 30 {
		user, email := uuid.New(), fmt.Sprintf("user%d@example.com", i)
		signUps.Exec(t, `insert into auth.users (id, email) values ($1, $2)`, user, email)
		minting.Go(func() {
			if w.mint(t, user, email).key(t) == "" {
				t.Error("no key")
			}
		})
	}
	minting.Wait()
	for range 20 { // while the sign-ups are open still, and those wait that store their keys
		if got := w.mint(t, reader, "reader@example.com"); got.key(t) != first {
			t.Errorf("got %s", got.body)
		}
	}
	signUps.Exec(t, "commit")
	eventually(t, "all are stored", func() bool {
		return storetest.Query[int](t, w.db, `select count(*) from public.profiles where api_key is not null`) == 31
	})
}
