package hook

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/accesstoken"
	"coderhook/hook/apikey"
	"coderhook/hook/authtest"
	"coderhook/hook/keyring"
	"coderhook/hook/reconcile"
	"coderhook/hook/rules"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/rs/zerolog"
)

// byFactor gives sessions without a second factor less.
const byFactor = `
rules:
  - {name: strong, when: claims.aal == "aal2", give: {}}
  - {name: weak, when: "true", give: {scopes: ["workspace:read"]}}
`

// scopesOf are those of a key of Ada's, "" where Coder does not have it.
func (r *ruled) scopesOf(key string) string {
	for _, token := range r.tokensOfAda() {
		if token.Whole == key {
			return strings.Join(token.Scopes, " ")
		}
	}
	return ""
}

// beside are Ada's keys beside the profile's.
func (w *world) beside(t *testing.T) []store.SetKey {
	t.Helper()
	account, err := w.store.LookupSets(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	return account.Sets
}

// bothKeys mints one for each kind of session.
func (r *ruled) bothKeys(t *testing.T) (narrow, wide string) {
	t.Helper()
	narrow, wide = r.mintAs(t, free, "aal1").key(t), r.mintAs(t, free, "aal2").key(t)
	if r.scopesOf(narrow) != "workspace:read" || r.scopesOf(wide) != "coder:all" {
		t.Fatalf("narrow %q, wide %q", r.scopesOf(narrow), r.scopesOf(wide))
	}
	return narrow, wide
}

// Sessions of one user have different keys, which none takes from the other. The profile has the wide one, whoever comes first.
func TestSessionsOfAUserHaveDifferentKeys(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"aal1", "aal2"} {
		r := newRuled(t, profileNew(), byFactor)
		r.mintAs(t, free, first)
		narrow, wide := r.bothKeys(t)
		for range 3 {
			if n, w := r.bothKeys(t); n != narrow || w != wide {
				t.Errorf("other keys for the same: %q, %q", n, w)
			}
		}
		if r.stored(t, ada) != wide {
			t.Error("the profile has not the wide key")
		}
		if beside := r.beside(t); len(beside) != 1 || beside[0].Secret != narrow {
			t.Errorf("beside it: %v", beside)
		}
		r.wantOneUser(t, 2)
		r.reconcile(t, r.reconciler(), reconcile.Summary{})
		r.clock.Advance(7 * authtest.Day / 4)
		r.reconcile(t, r.reconciler(), reconcile.Summary{})
		if n, w := r.bothKeys(t); n != narrow || w != wide {
			t.Error("reconciling took a key")
		}
	}
}

// One who comes without a second factor alone has no key in the profile, and loses nothing.
func TestAUserWithoutTheWideKey(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), byFactor)
	key := r.mintAs(t, free, "aal1").key(t)
	if r.stored(t, ada) != "" || r.scopesOf(key) != "workspace:read" || r.status(t, ada) != store.Active {
		t.Errorf("%q in the profile, she is %s", r.stored(t, ada), r.status(t, ada))
	}
	r.clock.Advance(time.Hour)
	r.reconcile(t, r.reconciler(), reconcile.Summary{})
	if r.mintAs(t, free, "aal1").key(t) != key || r.stored(t, ada) != "" {
		t.Error("another key")
	}
	r.wantOneUser(t, 1)
}

// Both are renewed in time, and what they replace lives for the tokens that carry it.
func TestKeysOfSessionsAreRenewed(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), strings.Replace(byFactor, `["workspace:read"]`, `["workspace:read"], lifetime: 48h`, 1))
	narrow, wide := r.bothKeys(t)
	r.clock.Advance(40 * time.Hour)
	if got := r.mintAs(t, free, "aal1").key(t); got != narrow {
		t.Errorf("it lives yet, and is not handed out: %q", got)
	}
	second := r.mintAs(t, free, "aal1").key(t)
	if second == narrow || r.scopesOf(second) != "workspace:read" || r.scopesOf(narrow) == "" {
		t.Errorf("renewed: %q after %q, which has %q", second, narrow, r.scopesOf(narrow))
	}
	if r.stored(t, ada) != wide {
		t.Error("the wide one is another")
	}
	r.clock.Advance(90 * time.Minute)
	r.reconcile(t, r.reconciler(), reconcile.Summary{Tokens: 1})
	if r.scopesOf(narrow) != "" || r.scopesOf(second) == "" || r.scopesOf(wide) == "" {
		t.Error("not the replaced one was ended")
	}
	r.clock.Advance(30 * authtest.Day) // and dead ones are made anew
	if n, w := r.bothKeys(t); n == second || w == wide {
		t.Error("a dead key")
	}
}

// Whatever ends a user's keys ends all of them, in Coder.
func TestAllKeysOfAUserEnd(t *testing.T) {
	t.Parallel()
	revoked := func(t *testing.T, r *ruled) {
		if done := r.revokeAda(t, r.revoker()); done.Ours != 2 || done.NoNewKey != nil {
			t.Errorf("%s", done)
		}
	}
	for name, end := range map[string]func(*testing.T, *ruled){
		"revoked": revoked,
		"all tokens revoked": func(t *testing.T, r *ruled) {
			revoker := r.revoker()
			revoker.All = true
			r.revokeAda(t, revoker)
		},
		"banned": func(t *testing.T, r *ruled) {
			r.db.Exec(t, banAda)
			r.reconcile(t, r.reconciler(), reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 2})
			r.db.Exec(t, unbanAda)
			r.reconcile(t, r.reconciler(), reconcile.Summary{Activated: 1})
		},
		"banned, linked": func(t *testing.T, r *ruled) {
			r.db.Exec(t, `update coderhook.accounts set linked = true`)
			r.db.Exec(t, banAda)
			r.reconcile(t, r.reconciler(), reconcile.Summary{Offboarded: 1, Tokens: 2})
			r.db.Exec(t, unbanAda)
			r.reconcile(t, r.reconciler(), reconcile.Summary{Activated: 1})
		},
		"not eligible": func(t *testing.T, r *ruled) {
			r.change(t, `rules: [{name: nobody, when: "true", give: none}]`)
			r.reconcile(t, r.reconciler(), reconcile.Summary{Ineligible: 1})
			r.clock.Advance(90 * time.Minute)
			r.reconcile(t, r.reconciler(), reconcile.Summary{Ended: 1, Tokens: 2})
			r.change(t, byFactor)
		},
		"no rules any more": func(t *testing.T, r *ruled) {
			live := r.Keyring.Rules
			r.Keyring.Rules = nil
			r.reconcile(t, r.reconciler(), reconcile.Summary{Ended: 1})
			r.clock.Advance(90 * time.Minute)
			r.reconcile(t, r.reconciler(), reconcile.Summary{Tokens: 1})
			r.Keyring.Rules = live
			r.revokeAda(t, r.revoker())
		},
		"given a role": func(t *testing.T, r *ruled) {
			r.promote(t, "ada0ada0", "owner")
			r.clock.Advance(time.Hour)
			r.mintAs(t, free, "aal2") // looked into after the answer; a narrow key may not read its user
			if tokens := r.tokensOfAda(); len(tokens) > 0 || len(r.beside(t)) > 0 {
				t.Errorf("%d tokens, %v", len(tokens), r.beside(t))
			}
			r.demote(t)
			r.clock.Advance(time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRuled(t, profileNew(), byFactor)
			narrow, wide := r.bothKeys(t)
			end(t, r)
			if r.scopesOf(narrow) != "" || r.scopesOf(wide) != "" {
				t.Errorf("alive: narrow %q, wide %q", r.scopesOf(narrow), r.scopesOf(wide))
			}
			if n, w := r.bothKeys(t); n == narrow || w == wide {
				t.Error("an old key was handed out")
			}
		})
	}
}

func (r *ruled) demote(t *testing.T) {
	t.Helper()
	r.coder.SetRoles("ada0ada0")
}

// One who has only the narrow key is given no other by being revoked: what is made stands where the rules say.
func TestRevokingMakesNoWiderKeyThanRulesGive(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), strings.Replace(byFactor, "give: {}", `give: {scopes: ["workspace:read", "template:read"]}`, 1))
	r.mintAs(t, free, "aal1")
	r.revokeAda(t, r.revoker())
	for _, token := range r.tokensAlive() {
		if slices.Contains(token.Scopes, "coder:all") {
			t.Errorf("%+v", token)
		}
	}
}

// A set that rules give no more ends when no token can carry its key, also if its user does not come; the others stay.
func TestASetThatNoRuleGivesAnyMore(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), byFactor)
	narrow, wide := r.bothKeys(t)
	r.change(t, strings.Replace(byFactor, "workspace:read", "template:read", 1))
	rec := r.reconciler()
	r.reconcile(t, rec, reconcile.Summary{Ended: 1})
	r.reconcile(t, rec, reconcile.Summary{})
	if r.scopesOf(narrow) == "" || len(r.beside(t)) > 0 {
		t.Errorf("a token may carry it: %q, %v", r.scopesOf(narrow), r.beside(t))
	}
	r.clock.Advance(90 * time.Minute)
	r.reconcile(t, rec, reconcile.Summary{Tokens: 1})
	if r.scopesOf(narrow) != "" || r.stored(t, ada) != wide || r.scopesOf(wide) == "" {
		t.Error("not the one that no rule gives was ended")
	}
	if got := r.mintAs(t, free, "aal1").key(t); r.scopesOf(got) != "template:read" {
		t.Errorf("the next has %q", r.scopesOf(got))
	}
}

// The key of a rule with in_claims: false is neither in the token nor in the profile, where others are.
func TestAKeyBesideTheProfileOutOfClaims(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), strings.Replace(byFactor, "give: {}", "give: {in_claims: false}", 1))
	if got := r.mintAs(t, free, "aal2"); got.keyStatus(t) != "ready" || got.key(t) != "" || r.stored(t, ada) != "" {
		t.Errorf("%s", got.body)
	}
	narrow := r.mintAs(t, free, "aal1").key(t)
	if r.stored(t, ada) != narrow || r.scopesOf(narrow) != "workspace:read" {
		t.Errorf("the profile has %q", r.scopesOf(r.stored(t, ada)))
	}
	beside := r.beside(t)
	if len(beside) != 1 || r.scopesOf(beside[0].Secret) != "coder:all" || !beside[0].Unseen {
		t.Errorf("%v", beside)
	}
}

// KEY_IN_CLAIMS=false ends all keys that tokens have carried.
func TestWithdrawingKeysOfSessions(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), byFactor)
	narrow, wide := r.bothKeys(t)
	rec := r.reconciler()
	rec.Withdraw = func(ctx context.Context, known store.Account, life time.Duration) error {
		return r.Keyring.Provisioner.Withdraw(ctx, known, life)
	}
	r.reconcile(t, rec, reconcile.Summary{Withdrawn: 2})
	r.settled()
	r.clock.Advance(90 * time.Minute)
	r.reconcile(t, rec, reconcile.Summary{Tokens: 2})
	if r.scopesOf(narrow) != "" || r.scopesOf(wide) != "" {
		t.Error("alive")
	}
}

// The front end's routes give a session no more than its token's mint does.
func TestRoutesTakeTheKeyOfTheSession(t *testing.T) {
	t.Parallel()
	policy, err := rules.Parse([]byte(strings.Replace(byFactor, "give: {}", "give: {in_claims: true}", 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := outOfClaims(profileNew())
	s.server = func(server *Server) {
		server.Keyring.Rules = rules.NewLive(rules.Source{}, policy, server.Registry, zerolog.Nop())
		server.FrontEnd.Callers.Rules = func(ctx context.Context, who accesstoken.Caller) (string, error) {
			return server.Keyring.Refuses(ctx, who.User, []byte(who.Raw))
		}
	}
	f := newFront(t, s)
	user := f.db.AddUser(t, "ada@example.com")
	token := func(aal string) string {
		claims := f.project.Claims(user.String(), "ada@example.com")
		claims["aal"], claims["app_metadata"] = aal, map[string]any{}
		return f.sign(t, claims)
	}
	if got := f.create(t, token("aal2")); got.status != 201 {
		t.Fatalf("%s", got.body)
	}
	f.settled()
	f.enter(t, token("aal1"), appURI).wantRefusal(t, "the wide key is not for it", 409, "there is no Coder key for this user yet")
	if got := f.enter(t, token("aal2"), appURI); got.status != 303 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := f.create(t, token("aal1")); got.status != 201 {
		t.Fatalf("%s", got.body)
	}
	f.settled()
	f.enter(t, token("aal1"), appURI)
	keys := storetest.QueryAll[string](t, f.db, `select api_key from coderhook.keys`)
	if len(keys) != 1 || !strings.Contains(f.log.String(), `"key_id":"`+coderclient.KeyID(keys[0])+`"`) {
		t.Errorf("not entered with the narrow key: %d", len(keys))
	}
}

// Sessions of both kinds at the same time, in two replicas: each gets its own key, and there is one of each.
func TestSessionsOfBothKindsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), byFactor)
	found := make(chan string, 16)
	for i := range cap(found) {
		go func() {
			aal := fmt.Sprintf("aal%d", 1+i%2)
			got := r.Keyring.Key(t.Context(), keyring.Wanted{
				User: ada, Email: "ada@example.com", Until: r.Now().Add(time.Hour), Claims: fmt.Appendf(nil, `{"aal":%q,"email":"ada@example.com"}`, aal),
			})
			got.Answered()
			found <- aal + " " + got.Key
		}()
	}
	keys := map[string]bool{}
	for range cap(found) {
		keys[<-found] = true
	}
	r.settled()
	if len(keys) != 2 || len(r.tokensOfAda()) != 2 {
		t.Fatalf("%d keys, %d tokens", len(keys), len(r.tokensOfAda()))
	}
	for kind := range keys {
		aal, key, _ := strings.Cut(kind, " ")
		if want := map[string]string{"aal1": "workspace:read", "aal2": "coder:all"}[aal]; r.scopesOf(key) != want {
			t.Errorf("%s got %q", aal, r.scopesOf(key))
		}
	}
}

// Whatever the rules were and are, whoever came with whatever session, was banned or did not come: no session is ever given a key of
// another set than its rule gives, and when all tokens of before have expired, no key lives that no rule gives.
func TestNoChangeOfPolicyLeavesAKeyOfASessionAlive(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many runs")
	}
	lines := []string{
		`{name: strong, when: claims.aal == "aal2", give: {}}`,
		`{name: strongest, when: claims.aal == "aal2" && claims.app_metadata.plan == "pro", give: {scopes: ["workspace:read", "template:read"], in_claims: false}}`,
		`{name: weak, when: claims.aal == "aal1", give: {scopes: ["workspace:read"]}}`,
		`{name: short, when: claims.app_metadata.plan == "free", give: {scopes: ["workspace:read"], lifetime: 24h}}`,
		`{name: pro, when: claims.app_metadata.plan == "pro", give: {scopes: ["template:read"], in_claims: true}}`,
		`{name: blocked, when: has(claims.app_metadata.blocked), give: none}`,
		`{name: weak-none, when: claims.aal == "aal1" && claims.app_metadata.plan == "free", give: none}`,
		`{name: others, when: "true", give: {aal: aal2}}`,
	}
	people := []string{pro, free, `{"plan":"pro","blocked":true}`, `{}`}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(15, seed))
	file := func() string {
		text := "rules:\n"
		for _, i := range random.Perm(len(lines))[:1+random.IntN(len(lines))] {
			text += "- " + lines[i] + "\n"
		}
		return text
	}
	r := newRuled(t, profileNew(), file())
	rec := r.reconciler()
	said := []string{fmt.Sprintf("seed %d", seed)}
	for range 30 {
		person := people[random.IntN(len(people))]
		text := file()
		r.change(t, text)
		said = append(said, text+"  for "+person)
		r.db.Exec(t, `update auth.users set raw_app_meta_data = $2::jsonb where id = $1`, ada, person)
		for range random.IntN(5) {
			r.mintByRule(t, person, fmt.Sprintf("aal%d", 1+random.IntN(2)))
			r.clock.Advance(time.Duration(random.IntN(20*60)) * time.Minute)
			if random.IntN(3) == 0 {
				said = append(said, "reconciled between mints")
				if _, err := rec.Reconcile(t.Context(), false); err != nil {
					t.Fatal(err)
				}
			}
		}
		if random.IntN(4) == 0 {
			said = append(said, "banned, and back")
			r.db.Exec(t, banAda)
			if _, err := rec.Reconcile(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			if alive := r.tokensAlive(); len(alive) > 0 {
				t.Errorf("%d keys of who is banned", len(alive))
			}
			r.db.Exec(t, unbanAda)
		}
		for range 3 { // told, then withdrawn, and what is late
			r.clock.Advance(80 * time.Minute)
			if _, err := rec.Reconcile(t.Context(), false); err != nil {
				t.Fatal(err)
			}
		}
		r.wantOnlyGivenKeys(t)
		if t.Failed() {
			t.Fatal(strings.Join(said, "\n"))
		}
	}
}

// mintByRule mints, and checks the key against what the rule gives.
func (r *ruled) mintByRule(t *testing.T, person, aal string) {
	t.Helper()
	got := r.mintAs(t, person, aal)
	key := got.key(t)
	facts := factsOf(t, r.world, ada)
	given := r.Keyring.Rules.Current().Decide(rules.OfSession(fmt.Appendf(nil, `{"aal":%q,"app_metadata":%s}`, aal, person), facts))
	inClaims := given.Key() && (given.Give.InClaims == nil || *given.Give.InClaims)
	if (key != "") != inClaims {
		t.Errorf("%s: key %q, status %q; rule %s gives %+v", aal, coderclient.KeyID(key), got.keyStatus(t), given.Rule, given.Give)
	}
	if key == "" {
		return
	}
	if want := scopesIn(given.Give.Grant); r.scopesOf(key) != want {
		t.Errorf("%s: a key with %q, and rule %s gives %q", aal, r.scopesOf(key), given.Rule, want)
	}
}

// scopesIn are those of a grant as Coder tells them.
func scopesIn(text string) string {
	_, list, found := strings.Cut(text, `"scopes":[`)
	list, _, _ = strings.Cut(list, "]")
	if !found {
		return "coder:all"
	}
	return strings.ReplaceAll(strings.ReplaceAll(list, `"`, ""), ",", " ")
}

// wantOnlyGivenKeys checks that each key of Ada's that lives is one that a rule gives her in some session, and that we know it.
func (r *ruled) wantOnlyGivenKeys(t *testing.T) {
	t.Helper()
	sets := r.Keyring.Rules.Current().Sets(rules.OfUser(factsOf(t, r.world, ada)), nil)
	known := map[string]string{r.account(t, ada).KeyID: "the profile"}
	for _, key := range r.beside(t) {
		known[key.ID] = "beside it"
	}
	alive := map[string]bool{}
	for _, token := range r.tokensAlive() {
		alive[token.ID] = true
		scopes := strings.Join(slices.Sorted(slices.Values(token.Scopes)), " ")
		given := slices.ContainsFunc(sets.All, func(g *rules.Give) bool { return scopesIn(g.Grant) == scopes })
		if at := known[token.ID]; !given || at == "" {
			t.Errorf("key %s with %s lives, known in %q: given %v", token.ID, scopes, at, given)
		}
	}
	if len(alive) > len(sets.All) {
		t.Errorf("%d keys live, of %d sets", len(alive), len(sets.All))
	}
	for _, token := range r.tokensAlive() {
		if !strings.HasPrefix(token.TokenName, apikey.Prefix) {
			t.Errorf("a name of somebody else: %+v", token)
		}
	}
}

// Crashes at any call of Coder or the database, outages, and rules that change: no session is given another's key, and in the
// end each key that lives is known, and one that a rule gives.
func TestCrashesLoseNoKeyOfASession(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(15, seed))
	c := newCity(t)
	files := []string{byFactor, strings.Replace(byFactor, "workspace:read", "template:read", 1), strings.Replace(byFactor, "aal2", "aal1", 1)}
	use := func(text string) {
		policy, err := rules.Parse([]byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		c.rules = policy
		c.restart(t)
	}
	use(files[0])
	c.move(t, 2)
	given := func(u *citizen) string {
		return scopesIn(c.rules.Decide(rules.OfSession(fmt.Appendf(nil, `{"aal":%q}`, u.aal), store.UserFacts{})).Give.Grant)
	}
	mint := func(u *citizen, aal string) {
		u.aal = aal
		got := c.judged(t, u)
		if got == nil {
			return
		}
		if scopes := strings.Join(got.Scopes, " "); scopes != given(u) {
			t.Errorf("a session with %s has a key with %q, and its rule gives %q", aal, scopes, given(u))
		}
	}
	for range 150 {
		switch u := c.users[random.IntN(2)]; random.IntN(8) {
		case 0:
			use(files[random.IntN(len(files))])
		case 1:
			c.outage(c.down == nil)
		case 2:
			c.reconcile(t)
		case 3, 4:
			c.life.crashAfter(1+random.IntN(20), random.IntN(2) == 0)
			fallthrough
		default:
			mint(u, fmt.Sprintf("aal%d", 1+random.IntN(2)))
		}
		c.clock.Advance(time.Duration(random.IntN(30*60)) * time.Minute)
		c.coder.Prolong(coderclient.KeyID(c.keeper.Token.Current()), c.clock.Now().Add(30*authtest.Day))
		if t.Failed() {
			t.FailNow()
		}
	}
	c.outage(false)
	c.life.crashAfter(0, false)
	for range 3 {
		for _, u := range c.users {
			mint(u, "aal1")
			mint(u, "aal2")
		}
		c.clock.Advance(90 * time.Minute)
		c.reconcile(t)
	}
	for _, u := range c.users {
		account, err := c.store.LookupSets(t.Context(), u.id)
		if err != nil || len(account.Sets) != 1 {
			t.Fatalf("%v beside the profile, %v", account.Sets, err)
		}
		var alive []string
		for _, user := range c.coder.Users() {
			for _, key := range c.coder.TokensOf(user.Username) {
				if user.Email == u.email && key.ExpiresAt.After(c.clock.Now()) {
					alive = append(alive, key.Whole)
				}
			}
		}
		if want := []string{account.APIKey, account.Sets[0].Secret}; !slices.Equal(slices.Sorted(slices.Values(alive)), slices.Sorted(slices.Values(want))) {
			t.Errorf("%d keys live, want those two that are known", len(alive))
		}
	}
}

// judged mints, and returns what Coder knows of the key that the token carries, nil where it carries none that lives.
func (c *city) judged(t *testing.T, u *citizen) *codertest.Key {
	t.Helper()
	got, _ := c.mint(t, u)
	if got == "" {
		return nil
	}
	return c.key(u, coderclient.KeyID(got))
}
