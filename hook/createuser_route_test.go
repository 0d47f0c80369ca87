package hook

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"

	"github.com/google/uuid"
)

// createdUser is the answer for a user who has a Coder account and a key.
type createdUser struct {
	UserID      uuid.UUID `json:"user_id"`
	CoderUserID uuid.UUID `json:"coder_user_id"`
	Username    string    `json:"username"`
	Created     bool      `json:"created"`
}

// created decodes the answer of the route.
func (r reply) created(t testing.TB) createdUser {
	t.Helper()
	var made createdUser
	if err := json.Unmarshal(r.body, &made); err != nil {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	return made
}

func TestCreateCoderUser(t *testing.T) {
	t.Parallel()
	eachProfile(t, func(t *testing.T, s settings) {
		f := newFront(t, s)
		user := f.db.AddUser(t, "ada@example.com")
		token := f.token(t, user, "")

		first := f.create(t, token)
		coder := f.wantOneUser(t, 1)
		want := createdUser{UserID: user, CoderUserID: coder.ID, Username: strings.Split(user.String(), "-")[0], Created: true}
		if first.status != 201 || first.created(t) != want || first.header.Get("Cache-Control") != "no-store" {
			t.Errorf("first: %d %s, want %+v", first.status, first.body, want)
		}
		eventually(t, "the profile holds the key", func() bool { return f.stored(t, user) != "" })
		key := f.stored(t, user)
		f.wantWorkingKey(t, key, "ada@example.com")
		f.coder.ForgetRequests()

		second := f.create(t, token)
		if want.Created = false; second.status != 200 || second.created(t) != want || len(f.coder.Requests()) > 0 {
			t.Errorf("second: %d %s, and Coder was asked %v", second.status, second.body, f.coder.Requests())
		}
		if got := f.mint(t, user, "ada@example.com").key(t); got != key {
			t.Errorf("the next token carries %q", got)
		}
		_, secret, _ := strings.Cut(key, "-")
		if answers := string(first.body) + string(second.body); strings.Contains(answers, secret) || strings.Contains(answers, key[:10]) {
			t.Errorf("the key is in an answer: %s", answers)
		}
	})
}

// Callers at the same time, and a token mint among them, make one account and one key.
func TestCreateCoderUserManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user := f.db.AddUser(t, "ada@example.com")
	token := f.token(t, user, "")
	answers := make(chan reply)
	for range 10 {
		go func() { answers <- f.create(t, token) }()
	}
	minted := f.mint(t, user, "ada@example.com").key(t)
	for range 10 {
		if got := <-answers; got.status/100 != 2 || got.created(t).CoderUserID == uuid.Nil {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	f.wantOneUser(t, 1)
	eventually(t, "the profile holds the key", func() bool { return f.stored(t, user) == minted })
}

// An expired key is replaced: that is something created, though the account was there.
func TestCreateCoderUserReplacesADeadKey(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user := f.db.AddUser(t, "ada@example.com")
	token := f.token(t, user, "")
	f.create(t, token)
	eventually(t, "stored", func() bool { return f.stored(t, user) != "" && !f.leased(t, user) })
	f.coder.AgeKey(f.account(t, user).KeyID, 8*authtest.Day)
	f.db.Exec(t, `update coderhook.accounts set key_expires_at = $1`, time.Now().Add(-time.Minute))
	if got := f.create(t, token); got.status != 201 || !got.created(t).Created {
		t.Errorf("%d %s", got.status, got.body)
	}
	f.wantOneUser(t, 2)
}

// A key that dies before the token is better than none while Coder gives no other. The log says why there is none,
// and what took how long.
func TestCreateCoderUserKeepsAShortKeyWhileCoderIsDown(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user := f.db.AddUser(t, "ada@example.com")
	token := f.token(t, user, "")
	f.create(t, token)
	eventually(t, "stored", func() bool { return f.stored(t, user) != "" && !f.leased(t, user) })
	f.db.Exec(t, `update coderhook.accounts set key_expires_at = $1`, time.Now().Add(10*time.Minute))
	f.coder.Fail(codertest.Fault{Status: 503})
	if got := f.create(t, token); got.status != 200 || got.created(t).Created {
		t.Errorf("%d %s", got.status, got.body)
	}
	log := f.log.String()
	calls := strings.Split(log, `"path":"/create-coder-user"`)
	last := calls[len(calls)-1]
	for _, want := range []string{`"lookup_ms":`, `"provision_ms":`, `"renewal":"`, `"status":200`} {
		if !strings.Contains(last, want) {
			t.Errorf("%s is not in the call's line:\n%s", want, last)
		}
	}
}

// The ledger does not know whose the key of an older deployment is: Coder does.
func TestCreateCoderUserWithTheKeyOfAnOlderDeployment(t *testing.T) {
	t.Parallel()
	// A world each: after its first answer the key is adopted in the background.
	older := func() (*front, uuid.UUID, codertest.User, codertest.Key) {
		f := newFront(t, patient())
		user := f.db.AddUser(t, "ada@example.com")
		ada := f.coder.AddUser("ada", "ada@example.com", "none")
		key := f.coder.AddToken("ada", "old", time.Hour)
		f.db.Exec(t, `insert into public.profiles (id, api_key) values ($1, $2)`, user, key.Whole)
		return f, user, ada, key
	}
	f, user, ada, _ := older()
	got := f.create(t, f.token(t, user, ""))
	if want := (createdUser{user, ada.ID, "ada", false}); got.status != 200 || got.created(t) != want {
		t.Errorf("%d %s, want %+v", got.status, got.body, want)
	}
	f, user, _, key := older()
	f.coder.DeleteKey(key.ID)
	f.create(t, f.token(t, user, "")).wantRefusal(t, "dead key", 409, "Coder does not accept the key that is stored for you")
	f, user, _, _ = older()
	f.coder.Fail(codertest.Fault{Status: 502})
	f.create(t, f.token(t, user, "")).wantRefusal(t, "Coder down", 503, "can't be reached")
}

func TestCreateCoderUserGoesOnInTheBackground(t *testing.T) {
	t.Parallel()
	s := patient()
	s.server = func(server *Server) { server.Deadline = 200 * time.Millisecond }
	f := newFront(t, s)
	user := f.db.AddUser(t, "ada@example.com")
	f.coder.Fail(codertest.Fault{Method: http.MethodPost, Path: "/users", Delay: time.Second, Times: 1})
	token := f.token(t, user, "")
	got := f.create(t, token)
	want := `{"user_id":"` + user.String() + `","status":"pending"}` + "\n"
	if got.status != 202 || string(got.body) != want || got.header.Get("Retry-After") != "2" {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
	eventually(t, "the key is stored", func() bool { return f.stored(t, user) != "" })
	if got := f.create(t, token); got.status != 200 {
		t.Errorf("then: %d %s", got.status, got.body)
	}
}

func TestCreateCoderUserConflicts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		arrange func(*front, uuid.UUID)
		want    string
	}{
		"somebody's e-mail": {
			func(f *front, _ uuid.UUID) { f.coder.AddUser("ada", "ada@example.com", "password") },
			"Coder already has an account with your e-mail address that was not made for you here. Ask the operator, and name your user id: ",
		},
		"suspended": {func(f *front, user uuid.UUID) {
			f.create(t, f.token(t, user, ""))
			eventually(t, "stored", func() bool { return f.stored(t, user) != "" && !f.leased(t, user) })
			f.db.Exec(t, `update coderhook.accounts set key_expires_at = now()`)
			f.coder.SuspendUser(strings.Split(user.String(), "-")[0])
		}, "Your Coder account is suspended. Ask the operator, and name your user id: "},
		"refused for another reason": {func(f *front, _ uuid.UUID) {
			f.coder.Fail(codertest.Fault{Method: http.MethodPost, Path: "/users", Status: 400, Body: `{"message":"inner text"}`})
		}, "Your Coder account can't be made or used as it is. Ask the operator, and name your user id: "},
		"off-boarded": {func(f *front, user uuid.UUID) {
			f.db.Exec(t, `insert into coderhook.accounts (user_id, status) values ($1, 'offboarded')`, user)
		}, "Your access has ended. If that is wrong, sign in again."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := patient()
			s.options.RetryConflict = time.Minute
			f := newFront(t, s)
			user := f.db.AddUser(t, "ada@example.com")
			test.arrange(f, user)
			for range 2 { // from Coder, then from the ledger
				got := f.create(t, f.token(t, user, ""))
				got.wantRefusal(t, name, 409, test.want)
				if strings.Contains(string(got.body), "inner text") {
					t.Errorf("inner text reaches the caller: %s", got.body)
				}
				eventually(t, "recorded", func() bool { return !f.leased(t, user) })
			}
		})
	}
}

func TestCreateCoderUserWhileSomethingIsDown(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.Backlog = 0 // what it begins in between is no answer to this test's calls
	f := newFront(t, s)
	user := f.db.AddUser(t, "ada@example.com")
	token := f.token(t, user, "")
	back := f.coder.Fail(codertest.Fault{Status: 503})
	for range 3 {
		got := f.create(t, token)
		got.wantRefusal(t, "Coder", 503, "can't be reached at the moment")
		if got.header.Get("Retry-After") != "5" {
			t.Errorf("%v", got.header)
		}
	}
	back()
	eventually(t, "Coder is back", func() bool { return f.client.Probe(t.Context()) == nil })
	eventually(t, "the failed work has ended", func() bool { return !f.leased(t, user) })

	limited := f.coder.Fail(codertest.Fault{Status: 429, Header: http.Header{"Retry-After": {"40"}}})
	got := f.create(t, token)
	got.wantRefusal(t, "rate limit", 503, "can't be reached at the moment")
	if got.header.Get("Retry-After") != "40" {
		t.Errorf("%v", got.header)
	}
	limited()
	eventually(t, "the failed work has ended", func() bool { return !f.leased(t, user) })
	if got := f.create(t, token); got.status != 201 {
		t.Errorf("then: %d %s", got.status, got.body)
	}
	eventually(t, "stored", func() bool { return f.stored(t, user) != "" && !f.leased(t, user) })
	f.coder.Close()
	if got := f.create(t, token); got.status != 200 {
		t.Errorf("what is there needs no Coder: %d %s", got.status, got.body)
	}
	f.store.Close()
	f.create(t, token).wantRefusal(t, "database", 503, "can't be reached at the moment")
}

func TestCreateCoderUserWhileStopping(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user := f.db.AddUser(t, "ada@example.com")
	if err := f.Keyring.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := f.create(t, f.token(t, user, ""))
	got.wantRefusal(t, "stopping", 503, "the server is restarting")
	if got.header.Get("Retry-After") != "1" {
		t.Errorf("%v", got.header)
	}
}

// A key that is made, and only not stored yet, is not made a second time, nor called so.
func TestCreateCoderUserBeforeTheKeyIsStored(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user := f.db.AddUser(t, "ada@example.com")
	f.db.Exec(t, `insert into public.profiles (id) values ($1) on conflict do nothing`, user)
	somebody := f.db.Begin(t)
	somebody.Exec(t, `select from public.profiles where id = $1 for update`, user)
	token := f.token(t, user, "")
	for _, status := range []int{201, 200} {
		if got := f.create(t, token); got.status != status || got.created(t).Created != (status == 201) {
			t.Errorf("%d %s, want %d", got.status, got.body, status)
		}
	}
	if f.stored(t, user) != "" {
		t.Error("the key is stored while somebody else holds the profile")
	}
	somebody.Exec(t, "rollback")
	eventually(t, "stored", func() bool { return f.stored(t, user) != "" })
	f.wantOneUser(t, 1)
}

// An address that is not confirmed yet is waited for, as by a mint.
func TestCreateCoderUserWaitsForAConfirmedAddress(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.ConfirmedOnly = true
	f := newFront(t, s)
	user := f.db.AddUser(t, "ada@example.com")
	if got := f.create(t, f.token(t, user, "")); got.status != http.StatusAccepted {
		t.Errorf("got %d %s", got.status, got.body)
	}
}
