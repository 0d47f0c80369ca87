package hook

import (
	"net/http"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/store"

	"github.com/google/uuid"
)

// Who leaves while a key is being made for them had an account: it is off-boarded as the operator
// wants it, and not deleted like what a rolled-back sign-up left behind.
func TestUserLeavesWhileAKeyIsMade(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.PersistPatience = 50 * time.Millisecond
	w := newWorld(t, s)
	w.addAda(t)
	w.expireKey(t)
	w.coder.AgeKey(w.account(t, ada).KeyID, 365*24*time.Hour)
	w.db.Exec(t, `delete from auth.users where id = $1`, ada)
	w.mint(t, ada, "ada@example.com") // the sign-in was under way
	eventually(t, "the job ends", func() bool { return w.jobs() == 0 && !w.leased(t, ada) })
	if got := w.status(t, ada); got == store.Orphaned {
		t.Error("an established account counts as a sign-up that was rolled back")
	}
	w.db.Exec(t, `update coderhook.accounts set updated_at = now() - interval '2 hours', created_at = now() - interval '3 hours'`)
	if _, err := w.reconciler().Reconcile(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if user, ok := w.coder.User("ada0ada0"); !ok || user.Status != "suspended" {
		t.Errorf("got %+v, %v; want the account, suspended", user, ok)
	}
}

// A foreign key of the product's own says nothing about whether the user exists.
func TestOtherForeignKeyIsTheProfilesFault(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.PersistPatience = 50 * time.Millisecond
	w := newWorld(t, s)
	w.db.Script(t, `create table public.tenants (id uuid primary key);
		alter table public.profiles add constraint tenant foreign key (id) references public.tenants (id)`)
	user := w.db.AddUser(t, "ada@example.com")
	key := w.mint(t, user, "ada@example.com").key(t)
	eventually(t, "the conflict is recorded", func() bool { return w.status(t, user) == store.Conflict })
	w.wantWorkingKey(t, key, "ada@example.com")
}

// A key that was found to be another person's opens nothing, however it got into the profile.
func TestRefusedKeyOpensNoApp(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user := f.db.AddUser(t, "ada@example.com")
	f.coder.AddUser("boss", "boss@example.com", "password", "owner")
	key := f.coder.AddToken("boss", "root", 24*time.Hour)
	f.db.Exec(t, `insert into public.profiles (id, api_key) values ($1, $2)`, user, key.Whole)
	f.mint(t, user, "ada@example.com")
	eventually(t, "it is refused", func() bool { return f.account(t, user).KeyRefused })
	f.coder.Fail(codertest.Fault{Method: "POST", Status: 502}) // there is no other key either
	if got := f.enter(t, f.token(t, user, ""), appURI); got.status != http.StatusConflict {
		t.Errorf("with the profile's key: %d %s", got.status, got.header.Get("Location"))
	}
	if got := f.enter(t, f.token(t, user, key.Whole), appURI); got.status != http.StatusUnauthorized {
		t.Errorf("with a token that carries it: %d %s", got.status, got.header.Get("Location"))
	}
}

// An access token outlives the user: nothing is made for who has left.
func TestCreateCoderUserForWhoHasLeft(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"deleted": `delete from auth.users where id = $1`,
		"banned":  `update auth.users set banned_until = now() + interval '1 day' where id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, patient())
			user := f.db.AddUser(t, "ada@example.com")
			token := f.token(t, user, "")
			f.db.Exec(t, sql, user)
			if got := f.create(t, token); got.status != http.StatusConflict || len(f.coder.Users()) > 0 {
				t.Errorf("got %d %s; Coder has %v", got.status, got.body, f.coder.Users())
			}
		})
	}
}

// When many keys age at the same time, whoever waits for a first key does not wait for them.
func TestRenewalsLeaveRoomForNewcomers(t *testing.T) {
	t.Parallel()
	s := patient()
	s.options.Concurrency = 2
	w := newWorld(t, s)
	emails := make(map[uuid.UUID]string)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		email := name + "@example.com"
		user := w.db.AddUser(t, email)
		emails[user] = email
		w.mint(t, user, email)
	}
	eventually(t, "all are stored", func() bool { return w.jobs() == 0 })
	w.db.Exec(t, `update coderhook.accounts set key_expires_at = now() + interval '2 hours'`)
	for _, key := range w.coder.Users() {
		for _, token := range w.coder.TokensOf(key.Username) {
			w.coder.AgeKey(token.ID, 7*24*time.Hour-2*time.Hour)
		}
	}
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users/*/keys/tokens", Hang: true, Times: 1})
	for user, email := range emails {
		w.mint(t, user, email)
	}
	newcomer := w.db.AddUser(t, "new@example.com")
	if got := w.mint(t, newcomer, "new@example.com"); got.key(t) == "" {
		t.Errorf("got %s", got.body)
	}
}

// Nor does anything open for them: neither with the profile's key, nor with the one that the token carries.
func TestNoAppOpensForWhoHasLeft(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"deleted":      `delete from auth.users where id = $1`,
		"soft-deleted": `update auth.users set deleted_at = now() where id = $1`,
		"banned":       `update auth.users set banned_until = now() + interval '1 day' where id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, patient())
			user, key := f.withKey(t)
			f.db.Exec(t, sql, user)
			for what, token := range map[string]string{"the profile's key": f.token(t, user, ""), "the token's key": f.token(t, user, key)} {
				f.enter(t, token, appURI).wantRefusal(t, what, http.StatusConflict, "Your access has ended")
			}
			if n := f.asked("/applications/auth-redirect"); n > 0 {
				t.Errorf("Coder was asked %d times", n)
			}
		})
	}
}

// Where it can't be known, nothing is made and nothing opens.
func TestWhereItIsNotKnownWhetherSomebodyHasLeft(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user, key := f.withKey(t)
	f.db.Exec(t, `revoke execute on function coderhook.auth_users_state from coderhook`)
	f.enter(t, f.token(t, user, key), appURI).wantRefusal(t, "redirect", http.StatusServiceUnavailable, "try again")
	f.create(t, f.token(t, user, key)).wantRefusal(t, "create", http.StatusServiceUnavailable, "try again")
	if got := f.mint(t, user, "ada@example.com").key(t); got != key {
		t.Errorf("a key that is there: got %q", got)
	}
	stranger := f.db.AddUser(t, "eve@example.com")
	if got := f.mint(t, stranger, "eve@example.com"); got.key(t) != "" || got.keyStatus(t) != "unavailable" || len(f.coder.Users()) != 1 {
		t.Errorf("a new one: %s; Coder has %v", got.body, f.coder.Users())
	}
}
