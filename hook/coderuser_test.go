package hook

import (
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook/account"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

var ada = uuid.MustParse("ada0ada0-1111-4222-8333-444455556666")

func (w *world) addAda(t *testing.T) {
	t.Helper()
	w.db.Exec(t, `insert into auth.users (id, email) values ($1, 'ada@example.com')`, ada)
}

// Where password login is off, a new Coder wants another login type: an operator has to choose it.
func TestPasswordLoginIsOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, profileNew())
	w.addAda(t)
	w.coder.Configure(func(s *codertest.Settings) { s.DisablePasswordAuth = true })
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
		t.Errorf("got %s", got.body)
	}
	eventually(t, "recorded", func() bool { return w.status(t, ada) == store.Conflict })
	if got := w.account(t, ada).LastError; !strings.Contains(got, "set CODER_LOGIN_TYPE=oidc or github") {
		t.Errorf("the ledger says %s", got)
	}
}

// Who signs up with somebody else's address gets no account that this person's first login would land in.
func TestUnconfirmedAddressGetsNoAccount(t *testing.T) {
	t.Parallel()
	s := profileNew()
	s.options.ConfirmedOnly = true
	s.coder.LoginType = "github"
	w, c := clocked(t, s)
	w.addAda(t)
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "pending" {
		t.Errorf("got %s", got.body)
	}
	c.Advance(time.Minute)
	eventually(t, "a conflict", func() bool { return w.status(t, ada) == store.Conflict })
	if users := w.coder.Users(); len(users) > 0 {
		t.Errorf("made: %+v", users)
	}
	w.db.Exec(t, `update auth.users set email_confirmed_at = now()`)
	c.Advance(time.Minute)
	w.wantWorkingKey(t, w.mintAda(t), "ada@example.com")
	w.settled()
}

// The first token is minted within the transaction that confirms the address: once that has ended, there is a key.
func TestAddressThatIsBeingConfirmed(t *testing.T) {
	t.Parallel()
	s := profileNew()
	s.options.ConfirmedOnly = true
	w := newWorld(t, s)
	w.addAda(t)
	tx := w.db.Begin(t)
	tx.Exec(t, `update auth.users set email_confirmed_at = now()`)
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "pending" {
		t.Errorf("got %s", got.body)
	}
	tx.Exec(t, "commit")
	eventually(t, "a key", func() bool { return w.stored(t, ada) != "" })
}

func TestUsernames(t *testing.T) {
	t.Parallel()
	want := []string{"ada0ada0", "ada0ada01111", "ada0ada011114222", "ada0ada0111142228333", "ada0ada01111422283334444", "ada0ada011114222833344445555"}
	if got := (account.Names{}).Of(ada); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// An e-mail address proves nothing: who has it in Coder may be anybody.
func TestForeignAccountIsNeverHandedOut(t *testing.T) {
	t.Parallel()
	for name, arrange := range map[string]func(*testing.T, *world){
		"same e-mail": func(_ *testing.T, w *world) { w.coder.AddUser("ada", "ada@example.com", "password") },
		"same e-mail, other case": func(_ *testing.T, w *world) {
			w.coder.AddUser("ada", "Ada@Example.com", "github")
		},
		"same e-mail and name, but an admin": func(_ *testing.T, w *world) {
			w.coder.AddUser("ada0ada0", "ada@example.com", "none", "user-admin")
		},
		"same e-mail and name, but of another Supabase user": func(t *testing.T, w *world) {
			other := w.coder.AddUser("ada0ada0", "ada@example.com", "none")
			w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, status) values (gen_random_uuid(), $1, 'active')`, other.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, patient())
			w.addAda(t)
			arrange(t, w)
			got := w.mint(t, ada, "ada@example.com")
			if got.key(t) != "" || got.keyStatus(t) != "conflict" {
				t.Errorf("got %s", got.body)
			}
			w.wantOneUser(t, 0)
			eventually(t, "the operator is told why", func() bool {
				return len(storetest.QueryAll[string](t, w.db, `select last_error from coderhook.accounts where user_id = $1 and status = 'conflict'`, ada)) == 1
			})
		})
	}
}

// Names of the ladder that others have are passed over.
func TestTakenUsernames(t *testing.T) {
	t.Parallel()
	eachProfile(t, func(t *testing.T, s settings) {
		w := newWorld(t, s)
		w.addAda(t)
		w.coder.AddUser("ada0ada0", "a@example.com", "password")
		w.coder.AddUser("ADA0ada01111", "b@example.com", "password")
		w.wantWorkingKey(t, w.mint(t, ada, "ada@example.com").key(t), "ada@example.com")
		if _, ok := w.coder.User("ada0ada011114222"); !ok {
			t.Errorf("got %+v", w.coder.Users())
		}
	})
}

func TestAllUsernamesTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.addAda(t)
	for _, name := range (account.Names{}).Of(ada) {
		w.coder.AddUser(name, name+"@example.com", "password")
	}
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
		t.Errorf("got %s", got.body)
	}
}

// The account of an earlier crash has our name, the e-mail, no roles, and no other owner.
func TestOwnAccountIsAdopted(t *testing.T) {
	t.Parallel()
	for name, username := range map[string]string{"first name": "ada0ada0", "second name": "ada0ada01111"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, patient())
			w.addAda(t)
			if username != "ada0ada0" {
				w.coder.AddUser("ada0ada0", "other@example.com", "none")
			}
			w.coder.AddUser(username, "ada@example.com", "none")
			w.wantWorkingKey(t, w.mint(t, ada, "ada@example.com").key(t), "ada@example.com")
		})
	}
}

// An account with our name and the e-mail, but in the ledger as somebody else's, is that person's.
func TestAccountOfAnotherLedgerRowIsNotAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.addAda(t)
	theirs := w.coder.AddUser("ada0ada0", "ada@example.com", "none")
	w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, status) values ($1, $2, 'active')`, uuid.New(), theirs.ID)
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" || got.key(t) != "" {
		t.Errorf("got %s", got.body)
	}
	eventually(t, "it is written down", func() bool { return w.status(t, ada) == store.Conflict })
	if got := w.account(t, ada); !strings.Contains(got.LastError, account.ErrForeign.Error()) || got.CoderUserID != uuid.Nil {
		t.Errorf("%v: %s", got, got.LastError)
	}
	w.wantOneUser(t, 0)
}

// A real server that loses the race for a name answers 500 and names the index.
func TestDuplicateKeyErrorIsARace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.addAda(t)
	w.coder.AddUser("ada0ada0", "ada@example.com", "none")
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Times: 1, Status: 500, Body: `{"message":"Internal error creating user.",
		"detail":"execute transaction: create user: pq: duplicate key value violates unique constraint \"idx_users_email\""}`})
	w.wantWorkingKey(t, w.mint(t, ada, "ada@example.com").key(t), "ada@example.com")
	w.wantOneUser(t, 1)
}

func TestDeletedInCoderIsMadeAnew(t *testing.T) {
	t.Parallel()
	eachProfile(t, func(t *testing.T, s settings) {
		w := newWorld(t, s)
		w.addAda(t)
		w.expireKey(t)
		w.coder.DeleteUser("ada0ada0")
		w.wantWorkingKey(t, w.mint(t, ada, "ada@example.com").key(t), "ada@example.com")
		w.wantOneUser(t, 1)
	})
}

// A Coder that was installed anew knows neither our users nor our organization.
func TestCoderStartsEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.addAda(t)
	w.expireKey(t)
	w.coder.Reset()
	w.heals(t, ada)
}

// expireKey gives Ada a user and a key, and lets the key run out.
func (w *world) expireKey(t *testing.T) {
	t.Helper()
	key := w.mint(t, ada, "ada@example.com").key(t)
	eventually(t, "stored", func() bool { return key != "" && w.stored(t, ada) == key && !w.leased(t, ada) })
	w.db.Exec(t, `update coderhook.accounts set key_expires_at = now() - interval '1 minute'`)
}

// Who was suspended in Coder gets no new key, until Coder takes them back.
func TestSuspendedInCoder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.addAda(t)
	w.expireKey(t)
	w.coder.SuspendUser("ada0ada0")
	if got := w.mint(t, ada, "ada@example.com"); got.key(t) != "" || got.keyStatus(t) != "conflict" {
		t.Errorf("got %s", got.body)
	}
	eventually(t, "recorded", func() bool { return w.status(t, ada) == store.Suspended })
	w.wantOneUser(t, 1)
	w.coder.ActivateUser("ada0ada0")
	w.heals(t, ada)
}

// A conflict is not asked of Coder again at every mint, but it is asked again.
func TestConflictIsRemembered(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.RetryConflict = time.Minute
	w := newWorld(t, s)
	w.addAda(t)
	w.coder.AddUser("ada", "ada@example.com", "password")
	w.mint(t, ada, "ada@example.com")
	eventually(t, "recorded", func() bool { return w.status(t, ada) == store.Conflict })
	w.coder.ForgetRequests()
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" || len(w.coder.Requests()) > 0 {
		t.Errorf("got %s after %v", got.body, w.coder.Requests())
	}
	w.coder.DeleteUser("ada")
	w.db.Exec(t, `update coderhook.accounts set updated_at = now() - interval '61 seconds'`)
	w.wantWorkingKey(t, w.mint(t, ada, "ada@example.com").key(t), "ada@example.com")
}

func TestOrganization(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.Organization = "nowhere"
	w := newWorld(t, s)
	w.addAda(t)
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
		t.Errorf("unknown organization: %s", got.body)
	}
	s.options.Organization = "coder"
	if got := w.start(t, s).mint(t, ada, "ada@example.com"); got.key(t) == "" {
		t.Errorf("named organization: %s", got.body)
	}
}

// Nobody keeps an address that Coder does not take from signing in.
func TestEmailThatCoderRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := w.db.AddUser(t, "ada@localhost")
	if got := w.mint(t, user, "ada@localhost"); got.status != 200 || got.keyStatus(t) != "conflict" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// Upgraded under us, Coder has made password users of ours: they are still ours.
func TestUpgradeOfCoder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.addAda(t)
	w.expireKey(t)
	w.coder.SetProfile(codertest.ProfileNew)
	w.wantWorkingKey(t, w.mint(t, ada, "ada@example.com").key(t), "ada@example.com")
	bob := w.db.AddUser(t, "bob@example.com")
	w.wantWorkingKey(t, w.mint(t, bob, "bob@example.com").key(t), "bob@example.com")
	for _, user := range w.coder.Users() {
		if user.LoginType != "password" {
			t.Errorf("got %+v", user)
		}
	}
}

// A scope that Coder does not know does not heal by itself: it is not asked at every mint.
func TestScopeThatCoderRefuses(t *testing.T) {
	t.Parallel()
	s := patient()
	s.coder.Scope = "bogus"
	s.profile = codertest.ProfileNew
	w := newWorld(t, s)
	w.addAda(t)
	if got := w.mint(t, ada, "ada@example.com"); got.keyStatus(t) != "conflict" {
		t.Errorf("got %s", got.body)
	}
}
