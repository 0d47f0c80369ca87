package hook

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/claims"
	"coderhook/hook/policy"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

var profiles = []codertest.Profile{codertest.Profile2023, codertest.ProfileV231, codertest.ProfileNew}

// eachProfile tests with each version of Coder.
func eachProfile(t *testing.T, test func(*testing.T, settings)) {
	t.Helper()
	for _, profile := range profiles {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			s := patient()
			s.profile = profile
			test(t, s)
		})
	}
}

func TestFirstMintCreatesOneUserAndOneToken(t *testing.T) {
	t.Parallel()
	eachProfile(t, func(t *testing.T, s settings) {
		w := newWorld(t, s)
		user := w.db.AddUser(t, "ada@example.com")

		first := w.mint(t, user, "Ada@Example.com")
		made := w.wantOneUser(t, 1)
		wantLogin := map[codertest.Profile]string{codertest.ProfileNew: "password"}[s.profile]
		if wantLogin == "" {
			wantLogin = "none"
		}
		if made.Username != strings.Split(user.String(), "-")[0] || made.Email != "ada@example.com" || made.LoginType != wantLogin {
			t.Errorf("made %+v", made)
		}
		w.wantWorkingKey(t, first.key(t), "ada@example.com")
		eventually(t, "the profile holds the key", func() bool { return w.stored(t, user) == first.key(t) })

		w.coder.ForgetRequests()
		second := w.mint(t, user, "ada@example.com")
		if second.key(t) != first.key(t) || len(w.coder.Requests()) != 0 {
			t.Errorf("second mint: another key, or Coder was asked: %v", w.coder.Requests())
		}
		if unexpected := w.coder.Unexpected(); len(unexpected) > 0 {
			t.Errorf("asked what Coder does not know: %v", unexpected)
		}
	})
}

// A profile whose key the ledger does not know was written by an older deployment.
func TestMintTakesTheKeyThatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := w.db.AddUser(t, "ada@example.com")
	w.db.Exec(t, `insert into public.profiles (id, api_key) values ($1, 'AbCdEfGhIj-0123456789012345678901')`, user)
	w.coder.Fail(codertest.Fault{Hang: true}) // what there is to learn of it is not learnt before the answer
	if got := w.mint(t, user, "ada@example.com"); got.key(t) != "AbCdEfGhIj-0123456789012345678901" {
		t.Errorf("got %s", got.body)
	}
}

func TestKeyThatDiesBeforeTheTokenIsReplaced(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]time.Duration{"short": 30 * time.Minute, "expired": -time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, patient())
			user := w.db.AddUser(t, "ada@example.com")
			first := w.mint(t, user, "ada@example.com").key(t)
			eventually(t, "stored", func() bool { return w.stored(t, user) == first })
			w.coder.AgeKey(coderclient.KeyID(first), 7*24*time.Hour-left)
			w.db.Exec(t, `update coderhook.accounts set key_expires_at = $1`, time.Now().Add(left))

			second := w.mint(t, user, "ada@example.com").key(t)
			if second == first {
				t.Error("the token carries a key that dies before it")
			}
			w.wantWorkingKey(t, second, "ada@example.com")
			w.wantOneUser(t, 2) // the old one is another sign-in's: it may still be in use
		})
	}
}

// With Coder out of reach a key with some life in it is better than none; a dead one is not.
func TestShortKeyIsHandedOutWhileCoderIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := w.db.AddUser(t, "ada@example.com")
	first := w.mint(t, user, "ada@example.com").key(t)
	eventually(t, "stored", func() bool { return w.stored(t, user) == first })
	w.coder.Fail(codertest.Fault{Status: 500})

	w.db.Exec(t, `update coderhook.accounts set key_expires_at = $1`, time.Now().Add(10*time.Minute))
	if got := w.mint(t, user, "ada@example.com").key(t); got != first {
		t.Errorf("got %q, want the old key", got)
	}
	w.db.Exec(t, `update coderhook.accounts set key_expires_at = $1`, time.Now().Add(-time.Minute))
	if got := w.mint(t, user, "ada@example.com"); got.key(t) != "" || got.keyStatus(t) != "unavailable" {
		t.Errorf("got %s", got.body)
	}
}

// The key's life is what Coder says, and a Coder whose tokens die too soon gives none.
func TestTokensShorterThanTheAccessTokenAreAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.coder.Configure(func(s *codertest.Settings) {
		s.MaxTokenLifetime, s.DefaultTokenLifetime = 10*time.Minute, 10*time.Minute
	})
	user := w.db.AddUser(t, "ada@example.com")
	if got := w.mint(t, user, "ada@example.com"); got.key(t) != "" || got.keyStatus(t) != "conflict" {
		t.Errorf("got %s", got.body)
	}
	w.wantOneUser(t, 0)
}

func TestSkippedTokensComeBackAsTheyCame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	for name, change := range map[string]func(map[string]any){
		"anonymous":          func(c map[string]any) { c["is_anonymous"] = true },
		"third-party client": func(c map[string]any) { c["client_id"] = uuid.NewString() },
		"client, no e-mail":  func(c map[string]any) { c["client_id"], c["email"] = uuid.NewString(), "" },
		"client, other role": func(c map[string]any) { c["client_id"], c["role"] = uuid.NewString(), "editor" },
		"anonymous role":     func(c map[string]any) { c["is_anonymous"], c["role"] = true, "editor" },
	} {
		user := uuid.New()
		claims := claimsOf(user, "ada@example.com")
		change(claims)
		want, got := authtest.JSON(t, map[string]any{"claims": claims}), w.mintClaims(t, user, claims)
		if got.status != 200 || string(got.body) != string(want) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if calls := w.coder.Requests(); len(calls) > 0 {
		t.Errorf("Coder was asked: %v", calls)
	}
}

// Where our policy is the reason, the token says so, and an old key goes. All else stays as it came.
func TestMintSaysWhoIsNotEligible(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	for name, change := range map[string]func(map[string]any){
		"phone only":  func(c map[string]any) { c["email"], c["phone"] = "", "491701234567" },
		"other role":  func(c map[string]any) { c["role"] = "editor" },
		"no role":     func(c map[string]any) { delete(c, "role") },
		"too low aal": func(c map[string]any) { c["aal"] = "" },
	} {
		user := uuid.New()
		claims := claimsOf(user, "ada@example.com")
		change(claims)
		got := w.mintClaims(t, user, claims)
		if got.status != 200 || got.keyStatus(t) != "not_eligible" || got.key(t) != "" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		claims["app_metadata"] = map[string]any{"provider": "email", "api_key_status": "not_eligible"}
		var answer map[string]any
		if err := json.Unmarshal(got.body, &answer); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(authtest.JSON(t, map[string]any{"claims": claims})), string(authtest.JSON(t, answer))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if calls := w.coder.Requests(); len(calls) > 0 {
		t.Errorf("Coder was asked: %v", calls)
	}
	if log := w.log.String(); !strings.Contains(log, `"role":"editor"`) {
		t.Errorf("the role is not in the log:\n%s", log)
	}
}

func TestPolicyOpensForRoles(t *testing.T) {
	t.Parallel()
	p := policy.Policy{RequireAAL: "aal1", AllowedRoles: []string{"authenticated", "editor"}}
	for role, want := range map[string]string{"authenticated": "", "editor": "", "Editor": policy.SkipRole, "": policy.SkipRole, "service_role": policy.SkipRole} {
		if got := p.Skip(claims.Claims{Role: role, Email: "a@b.c", AAL: "aal1"}); got != want {
			t.Errorf("%q: %q", role, got)
		}
	}
	for _, skip := range []string{policy.SkipAnonymous, policy.SkipNoEmail, policy.SkipOAuthClient, policy.SkipAAL, policy.SkipRole} {
		if policy.Cure(skip) == "" {
			t.Errorf("no cure of %q", skip)
		}
	}
}

func TestPolicyOpensForClientsAndDemandsLevels(t *testing.T) {
	t.Parallel()
	base := claims.Claims{Role: "authenticated", Email: "a@b.c", AAL: "aal1"}
	with := func(change func(*claims.Claims)) claims.Claims { c := base; change(&c); return c }
	strict := policy.Policy{RequireAAL: "aal2", AllowedClients: []string{"mine"}}
	for _, test := range []struct {
		policy policy.Policy
		claims claims.Claims
		want   string
	}{
		{policy.Policy{RequireAAL: "aal1"}, base, ""},
		{strict, base, policy.SkipAAL},
		{strict, with(func(c *claims.Claims) { c.AAL = "aal2" }), ""},
		{strict, with(func(c *claims.Claims) { c.AAL = "aal3" }), ""},
		{strict, with(func(c *claims.Claims) { c.AAL, c.ClientID = "aal2", "mine" }), ""},
		{strict, with(func(c *claims.Claims) { c.AAL, c.ClientID = "aal2", "other" }), policy.SkipOAuthClient},
		{strict, with(func(c *claims.Claims) { c.AAL, c.Anonymous = "aal2", true }), policy.SkipAnonymous},
		{strict, with(func(c *claims.Claims) { c.AAL, c.Email = "aal2", "" }), policy.SkipNoEmail},
		{strict, with(func(c *claims.Claims) { c.AAL, c.Role = "aal2", "anon" }), policy.SkipRole},
	} {
		if got := test.policy.Skip(test.claims); got != test.want {
			t.Errorf("%+v under %+v: %q, want %q", test.claims, test.policy, got, test.want)
		}
	}
}

// Supabase Auth waits for us with the sign-up's transaction open: nothing that needs
// the user or the profile may come before the answer, and all of it has to come after.
func TestSignUpIsNotCommittedYet(t *testing.T) {
	t.Parallel()
	for _, trigger := range []bool{false, true} {
		for _, end := range []string{"commit", "rollback"} {
			t.Run(fmt.Sprintf("trigger=%v/%s", trigger, end), func(t *testing.T) {
				t.Parallel()
				s := patient()
				s.options.PersistPatience = time.Second
				w := newWorld(t, s)
				if trigger {
					w.db.Script(t, pgserver.NewUserTriggerSQL)
				}
				user := uuid.New()
				signUp := w.db.Begin(t)
				signUp.Exec(t, `insert into auth.users (id, email) values ($1, 'ada@example.com')`, user)

				got := w.mint(t, user, "ada@example.com")
				if got.key(t) == "" { // with the transaction still open
					t.Fatalf("got %s", got.body)
				}
				w.wantWorkingKey(t, got.key(t), "ada@example.com")
				signUp.Exec(t, end)
				if end == "commit" {
					eventually(t, "the key is stored", func() bool { return w.stored(t, user) == got.key(t) })
					w.wantOneUser(t, 1)
					return
				}
				eventually(t, "the token is deleted", func() bool { return len(w.coder.Users()) == 0 })
				eventually(t, "the account is orphaned", func() bool {
					return storetest.Query[string](t, w.db, `select status from coderhook.accounts`) == "orphaned"
				})
				if _, err := w.client.Me(t.Context(), got.key(t)); err == nil {
					t.Error("the key of a user who never came to be still works")
				}
			})
		}
	}
}

// A trigger that copies auth.users to the profile makes the sign-in hold the profile's lock.
func TestProfileIsLockedBySignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.db.Script(t, pgserver.SyncUserTriggerSQL)
	user := w.db.AddUser(t, "ada@example.com")
	w.db.Exec(t, `insert into public.profiles (id) values ($1)`, user)
	signIn := w.db.Begin(t)
	signIn.Exec(t, `update auth.users set last_sign_in_at = now() where id = $1`, user)

	got := w.mint(t, user, "ada@example.com")
	if got.key(t) == "" { // with the profile still locked
		t.Fatalf("got %s", got.body)
	}
	// Long enough for our lock_timeout to run out and for another try.
	eventually(t, "a try to store it failed", func() bool { return strings.Contains(w.log.String(), "key not stored yet") })
	again := w.mint(t, user, "ada@example.com")
	if again.key(t) != got.key(t) {
		t.Errorf("while it waits to be stored: %s", again.body)
	}
	signIn.Exec(t, "commit")
	eventually(t, "the key is stored", func() bool { return w.stored(t, user) == got.key(t) })
	w.wantOneUser(t, 1)
}

func TestSimultaneousMintsOverTwoServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	other := w.start(t, patient())
	user := w.db.AddUser(t, "ada@example.com")
	replies := make([]reply, 24)
	var minting sync.WaitGroup
	for i := range replies {
		minting.Go(func() { replies[i] = []*replica{w.replica, other}[i%2].mint(t, user, "ada@example.com") })
	}
	minting.Wait()
	w.wantOneUser(t, 1)
	for _, got := range replies {
		if got.key(t) == "" || got.key(t) != replies[0].key(t) {
			t.Errorf("got %s", got.body)
		}
	}
}

// The first group of a uuid has 32 bits only.
func TestSameFirstGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	users := []uuid.UUID{
		uuid.MustParse("5eed5eed-0000-4000-8000-000000000001"),
		uuid.MustParse("5eed5eed-1111-4000-8000-000000000002"),
	}
	for i, user := range users {
		email := fmt.Sprintf("user%d@example.com", i)
		w.db.Exec(t, `insert into auth.users (id, email) values ($1, $2)`, user, email)
		w.wantWorkingKey(t, w.mint(t, user, email).key(t), email)
	}
	if got := w.coder.Users(); len(got) != 2 || got[0].Username != "5eed5eed" || got[1].Username != "5eed5eed1111" {
		t.Errorf("got %+v", got)
	}
}

// Only a Coder that can't be reached is a reason to hand out a key that dies before the token.
func TestShortKeyIsNotHandedOutOnConflict(t *testing.T) {
	t.Parallel()
	s := patient()
	s.profile = codertest.ProfileNew
	w := newWorld(t, s)
	w.addAda(t)
	first := w.mint(t, ada, "ada@example.com").key(t)
	eventually(t, "stored", func() bool { return w.stored(t, ada) == first && w.jobs() == 0 })
	w.coder.AgeKey(w.account(t, ada).KeyID, 7*24*time.Hour-10*time.Minute)
	w.db.Exec(t, `update coderhook.accounts set key_expires_at = $1`, time.Now().Add(10*time.Minute))
	s.coder.Scope = "bogus"
	if got := w.start(t, s).mint(t, ada, "ada@example.com"); got.key(t) != "" || got.keyStatus(t) != "conflict" {
		t.Errorf("got %s", got.body)
	}
}
