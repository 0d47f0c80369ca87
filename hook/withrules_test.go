package hook

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook/accesstoken"
	"coderhook/hook/apikey"
	"coderhook/hook/authtest"
	"coderhook/hook/reconcile"
	"coderhook/hook/rules"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// ruled is a world with a policy file.
type ruled struct {
	*world
	clock *authtest.Clock
	path  string
}

func newRuled(t *testing.T, s settings, file string, audit ...bool) *ruled {
	t.Helper()
	r := &ruled{path: filepath.Join(t.TempDir(), "policy.yaml")}
	r.write(t, file)
	source := rules.Source{Path: r.path, Columns: s.columns, Audit: len(audit) > 0}
	first, err := source.Read()
	if err != nil {
		t.Fatal(err)
	}
	s.server = func(server *Server) {
		server.Keyring.Rules = rules.NewLive(source, first, server.Registry, zerolog.Nop())
	}
	r.world, r.clock = clocked(t, s)
	r.addAda(t)
	return r
}

func (r *ruled) write(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(r.path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
}

// change replaces the policy file.
func (r *ruled) change(t *testing.T, file string) {
	t.Helper()
	r.write(t, file)
	r.Keyring.Rules.Reread()
	if err := r.Keyring.Rules.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// mintAs mints a token whose claims, and the user, have this app_metadata.
func (r *ruled) mintAs(t *testing.T, metadata, aal string) reply {
	t.Helper()
	r.db.Exec(t, `update auth.users set raw_app_meta_data = $2::jsonb where id = $1`, ada, metadata)
	claims := claimsAt(r.Now(), ada, "ada@example.com")
	claims["aal"] = aal
	var data map[string]any
	if err := json.Unmarshal([]byte(metadata), &data); err != nil {
		t.Fatal(err)
	}
	data["api_key"] = "stale-key-of-old"
	claims["app_metadata"] = data
	found := r.mintClaims(t, ada, claims)
	r.settled()
	return found
}

const pro, free = `{"plan":"pro"}`, `{"plan":"free"}`

const proOnly = `
rules:
  - {name: pro, when: claims.app_metadata.plan == "pro", give: {}}
  - {name: others, when: "true", give: none, reason: a plan is needed}
`

func (r *ruled) reconciler() *reconcile.Reconciler {
	found := r.world.reconciler()
	found.Grace = 7 * authtest.Day
	return found
}

// Who falls under a rule that gives none has no account, and a key of old does not pass.
func TestNoKeyByRule(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), proOnly)
	got := r.mintAs(t, free, "aal1")
	if got.status != 200 || got.keyStatus(t) != "not_eligible" || got.key(t) != "" || len(r.coder.Users()) > 0 {
		t.Errorf("%s, %d users", got.body, len(r.coder.Users()))
	}
	if r.account(t, ada).Known {
		t.Error("the ledger has a row")
	}
	if key := r.mintAs(t, pro, "aal1").key(t); key == "" {
		t.Error("none by the rule that gives one")
	}
	r.wantOneUser(t, 1)
	r.wantCounts(t, "coderhook_policy_decisions_total", map[string]float64{"none: others": 1, "key: pro": 1})
	for _, want := range []string{`"rule":"others"`, `"rule":"pro"`} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}

// A sign-in is not refused for a rule, also where one without a key is.
func TestARuleRefusesNoSignIn(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), proOnly)
	r.RejectOnError = true
	if got := r.mintAs(t, free, "aal1"); got.keyStatus(t) != "not_eligible" {
		t.Errorf("%s", got.body)
	}
}

// Without a second factor there is no key; that is no reason to take anything from the user.
func TestARuleThatNeedsASecondFactor(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), "rules:\n- {name: all, when: 'true', give: {aal: aal2}}")
	if got := r.mintAs(t, pro, "aal1"); got.keyStatus(t) != "not_eligible" {
		t.Errorf("%s", got.body)
	}
	key := r.mintAs(t, pro, "aal2").key(t)
	if key == "" || r.mintAs(t, pro, "aal1").key(t) != "" {
		t.Errorf("aal2 got %q", key)
	}
	r.clock.Advance(8 * time.Hour)
	r.reconcile(t, r.reconciler(), reconcile.Summary{})
	r.wantWorkingKey(t, key, "ada@example.com")
}

// Audit mode changes nothing, and says what it would.
func TestAuditMode(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), proOnly, true)
	if r.mintAs(t, free, "aal1").key(t) == "" {
		t.Error("no key")
	}
	r.wantCounts(t, "coderhook_policy_decisions_total", map[string]float64{"none: others": 1})
	if !strings.Contains(r.log.String(), `"rules_would":"others: none"`) {
		t.Error("not told")
	}
	r.reconcile(t, r.reconciler(), reconcile.Summary{})
}

// Nor does it where what the rules look at can't be read: that is what it is there to find out.
func TestAuditModeWithoutWhatRulesLookAt(t *testing.T) {
	t.Parallel()
	s := profileNew()
	s.columns = []string{"tier"}
	r := newRuled(t, s, "rules:\n- {name: gold, when: 'profile.tier == \"gold\" && user.confirmed', give: {}}", true)
	if got := r.mintAs(t, free, "aal1"); got.key(t) == "" {
		t.Errorf("no key: %s", got.body)
	}
	if !strings.Contains(r.log.String(), `"rules_would":"(unknown)`) {
		t.Error("not told")
	}
}

// What the profile and auth.users say is read in the look-up's own round trip.
func TestRulesOverProfileAndUser(t *testing.T) {
	t.Parallel()
	s := profileNew()
	s.columns = []string{"tier"}
	r := newRuled(t, s, "rules:\n- {name: gold, when: 'profile.tier == \"gold\" && user.confirmed', give: {}}")
	r.db.Exec(t, `alter table public.profiles add column tier text; grant select (tier) on public.profiles to coderhook`)
	r.db.Exec(t, `insert into public.profiles (id, tier) values ($1, 'gold')`, ada)
	if got := r.mintAs(t, pro, "aal1"); got.keyStatus(t) != "pending" {
		t.Errorf("the confirmation may not be committed yet: %s", got.body)
	}
	refreshed := claimsAt(r.Now(), ada, "ada@example.com")
	body, err := json.Marshal(map[string]any{"user_id": ada.String(), "claims": refreshed, "authentication_method": "token_refresh"})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.post(t, body, authtest.Sign(t, authtest.SecretA, uuid.NewString(), r.Now(), body)); got.keyStatus(t) != "not_eligible" {
		t.Errorf("a refresh knows: %s", got.body)
	}
	r.db.Exec(t, `update auth.users set email_confirmed_at = now() where id = $1`, ada)
	if r.mintAs(t, pro, "aal1").key(t) == "" {
		t.Error("confirmed and gold: no key")
	}
}

// A key is made with what the rule gives, and made anew when that changes: the old one may do too much.
func TestScopesOfAKey(t *testing.T) {
	t.Parallel()
	const file = `
rules:
  - {name: pro, when: claims.app_metadata.plan == "pro", give: {}}
  - {name: free, when: "true", give: {scopes: ["workspace:read", "template:read"], lifetime: 48h}}
`
	r := newRuled(t, profileNew(), file)
	wide := r.mintAs(t, pro, "aal1").key(t)
	narrow := r.mintAs(t, free, "aal1").key(t)
	if narrow == "" || narrow == wide {
		t.Fatalf("%q after %q", narrow, wide)
	}
	tokens := r.tokensOfAda()
	if len(tokens) != 2 || !slices.Equal(slices.Sorted(slices.Values(tokens[1].Scopes)), []string{"template:read", "workspace:read"}) {
		t.Fatalf("%+v", tokens)
	}
	if got := r.account(t, ada); got.KeyLifetime != 48*time.Hour || !strings.Contains(got.KeyGrant, "workspace:read") {
		t.Errorf("the ledger says %s, %s", got.KeyLifetime, got.KeyGrant)
	}
	if again := r.mintAs(t, free, "aal1").key(t); again != narrow {
		t.Errorf("another key for the same: %q", again)
	}
	r.clock.Advance(90 * time.Minute) // no token carries the wide one any more
	r.reconcile(t, r.reconciler(), reconcile.Summary{Tokens: 1})
	if r.works(t, wide) {
		t.Error("the wide key is alive")
	}
	r.clock.Advance(24 * time.Hour)
	if r.mintAs(t, free, "aal1"); r.account(t, ada).KeyGrant == "" {
		t.Error("a renewal forgot the scopes")
	}
	if back := r.mintAs(t, pro, "aal1").key(t); back == narrow || r.account(t, ada).KeyGrant != "" {
		t.Errorf("back: %q, %q", back, r.account(t, ada).KeyGrant)
	}
}

// An old Coder would make a key for everything. It is not handed out, and ended.
func TestScopesThatCoderDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := patient()
	s.profile = codertest.Profile2023
	r := newRuled(t, s, `rules: [{name: all, when: "true", give: {scopes: ["workspace:read"]}}]`)
	if got := r.mintAs(t, pro, "aal1"); got.keyStatus(t) != "conflict" {
		t.Errorf("%s", got.body)
	}
	if tokens := r.tokensOfAda(); len(tokens) > 0 {
		t.Errorf("%d tokens are left", len(tokens))
	}
	eventually(t, "told", func() bool { return strings.Contains(r.account(t, ada).LastError, "needs Coder 2.27 or later") })
}

// An account is made where the rule says, under the person's name.
func TestOrganizationAndNameOfAnAccount(t *testing.T) {
	t.Parallel()
	s := profileNew()
	s.options.Names.Prefix = "sb-"
	r := newRuled(t, s, `rules: [{name: all, when: "true", give: {organization: nowhere}}]`)
	claims := claimsAt(r.Now(), ada, "ada@example.com")
	claims["user_metadata"] = map[string]any{"full_name": "  Ada \u202e King,\n Countess of Lovelace" + strings.Repeat("é", 200)}
	if got := r.mintClaims(t, ada, claims); got.keyStatus(t) != "conflict" || len(r.coder.Users()) > 0 {
		t.Errorf("an organization that is not there: %s", got.body)
	}
	r.settled()
	r.clock.Advance(time.Minute)
	r.change(t, `rules: [{name: all, when: "true", give: {organization: coder}}]`)
	if got := r.mintClaims(t, ada, claims); got.key(t) == "" {
		t.Fatalf("%s", got.body)
	}
	user := r.wantOneUser(t, 1)
	if user.Username != "sb-ada0ada0" || !strings.HasPrefix(user.Name, "Ada  King,  Countess of Lovelaceé") || len(user.Name) > 128 {
		t.Errorf("%+v", user)
	}
}

// Somebody to whom no rule gives a key any more has none in new tokens at once; the key ends when no token can carry it, and the
// account is suspended after the grace. When a rule gives one again, all is as before.
func TestWhoIsNotEligibleAnyMore(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), proOnly)
	key := r.mintAs(t, pro, "aal1").key(t)
	rec := r.reconciler()
	r.reconcile(t, rec, reconcile.Summary{})
	if got := r.mintAs(t, free, "aal1"); got.key(t) != "" {
		t.Fatalf("at once: %s", got.body)
	}
	r.reconcile(t, rec, reconcile.Summary{Ineligible: 1})
	r.clock.Advance(time.Hour)
	r.reconcile(t, rec, reconcile.Summary{})
	r.wantWorkingKey(t, key, "ada@example.com") // a token may carry it
	r.clock.Advance(20 * time.Minute)
	r.reconcile(t, rec, reconcile.Summary{Ended: 1, Tokens: 1})
	if r.works(t, key) || r.adaInCoder(t).Status == "suspended" {
		t.Errorf("key works: %v, she is %s", r.works(t, key), r.adaInCoder(t).Status)
	}
	r.reconcile(t, rec, reconcile.Summary{})
	r.clock.Advance(7 * authtest.Day)
	rec.Delete = true // that is for who is gone
	r.reconcile(t, rec, reconcile.Summary{Offboarded: 1, Suspended: 1})
	if got := r.adaInCoder(t); got.Status != "suspended" {
		t.Fatalf("she is %s", got.Status)
	}
	r.reconcile(t, rec, reconcile.Summary{})
	if sum, err := rec.ScanAll(t.Context()); err != nil || sum.Activated+sum.Accounts > 0 {
		t.Errorf("at odds: %s, %v", sum, err)
	}
	back := r.mintAs(t, pro, "aal1").key(t)
	if back == "" || !r.works(t, back) || !r.account(t, ada).IneligibleSince.IsZero() {
		t.Errorf("back: %q, %+v", back, r.account(t, ada))
	}
	if got := actionsOf(t, r.world, ada); !slices.Contains(got, string(store.Ineligible)) || !slices.Contains(got, string(store.KeyWithdrawn)) || !slices.Contains(got, string(store.OffBoarded)) {
		t.Errorf("the audit trail has %v", got)
	}
}

// The account of whom no rule gave a key is kept, suspended, while they are in Supabase. Who leaves later is deleted all the
// same where that is asked for; once, also where Coder keeps it for its workspaces.
func TestWhoLeavesAfterNotBeingEligible(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]reconcile.Summary{"without workspaces": {Offboarded: 1, Deleted: 1}, "with workspaces": {Offboarded: 1}} {
		r := newRuled(t, profileNew(), proOnly)
		r.mintAs(t, pro, "aal1")
		r.mintAs(t, free, "aal1")
		rec := r.reconciler()
		rec.Delete = true
		r.reconcile(t, rec, reconcile.Summary{Ineligible: 1})
		r.clock.Advance(8 * authtest.Day)
		r.reconcile(t, rec, reconcile.Summary{Offboarded: 1, Suspended: 1})
		if want.Deleted == 0 {
			r.coder.Fail(codertest.Fault{Method: "DELETE", Path: "/users/*", Status: 417, Body: `{"message":"You cannot delete a user that has workspaces. Delete their workspaces and try again!"}`})
		}
		r.db.Exec(t, banAda)
		r.reconcile(t, rec, want)
		r.reconcile(t, rec, reconcile.Summary{})
		r.db.Exec(t, unbanAda)
		if sum, err := rec.Reconcile(t.Context(), false); err != nil || sum.Activated > 0 {
			t.Errorf("%s: brought back without a rule: %s, %v", name, sum, err)
		}
		if key := r.mintAs(t, pro, "aal1").key(t); key == "" || !r.works(t, key) {
			t.Errorf("%s: back: %q", name, key)
		}
	}
}

func actionsOf(t *testing.T, w *world, user uuid.UUID) []string {
	t.Helper()
	return storetest.QueryAll[string](t, w.db, `select action from coderhook.audit where user_id = $1 order by id`, user)
}

// What a chained hook puts into the claims is not in auth.users: reconciling takes no key from whom mints give one by it,
// be it for what it was made with.
func TestReconcilingKnowsNotWhatAChainedHookReturns(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), `
rules:
  - {name: admins, when: claims.app_metadata.admin == true, give: {lifetime: 500h}}
  - {name: partners, when: '"sso:1" in user.providers', give: {lifetime: 600h}}
  - {name: editors, when: claims.role == "editor" && user.domain == "example.com", give: {}}
`)
	r.Keyring.Rules.Chained = true
	r.chain(t, `return jsonb_set(event, '{claims,app_metadata,admin}', 'true');`)
	key := r.mintAs(t, free, "aal1").key(t)
	rec := r.reconciler()
	r.reconcile(t, rec, reconcile.Summary{})
	r.clock.Advance(8 * authtest.Day)
	r.reconcile(t, rec, reconcile.Summary{})
	r.wantWorkingKey(t, key, "ada@example.com")

	r.change(t, `rules: [{name: others, when: claims.app_metadata.admin == true, give: {lifetime: 700h}}]`)
	r.reconcile(t, rec, reconcile.Summary{Ended: 1}) // no rule gives such a key
	r.change(t, `rules: [{name: elsewhere, when: claims.app_metadata.admin == true && user.domain == "example.org", give: {}}]`)
	r.reconcile(t, rec, reconcile.Summary{Ineligible: 1}) // whatever it returns
}

// Reconciling, too, brings back whom a changed file makes eligible again.
func TestAChangedFileBringsBack(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]time.Duration{"within the grace": authtest.Day, "after it": 8 * authtest.Day} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRuled(t, profileNew(), proOnly)
			r.mintAs(t, pro, "aal1")
			r.change(t, `rules: [{name: nobody, when: "true", give: none}]`)
			rec := r.reconciler()
			r.reconcile(t, rec, reconcile.Summary{Ineligible: 1})
			r.clock.Advance(wait)
			if _, err := rec.Reconcile(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			r.change(t, proOnly)
			if sum, err := rec.Reconcile(t.Context(), false); err != nil || sum.Eligible+sum.Activated != 1 {
				t.Errorf("%s, %v", sum, err)
			}
			if got := r.adaInCoder(t); got.Status == "suspended" || !r.account(t, ada).IneligibleSince.IsZero() {
				t.Errorf("she is %s", got.Status)
			}
			if key := r.mintAs(t, pro, "aal1").key(t); key == "" || !r.works(t, key) {
				t.Errorf("key %q", key)
			}
		})
	}
}

// A linked account loses our keys, and nothing else.
func TestALinkedAccountIsNotSuspendedForARule(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), proOnly)
	key := r.mintAs(t, pro, "aal1").key(t)
	r.db.Exec(t, `update coderhook.accounts set linked = true`)
	r.mintAs(t, free, "aal1")
	rec := r.reconciler()
	r.reconcile(t, rec, reconcile.Summary{Ineligible: 1})
	r.clock.Advance(2 * time.Hour)
	r.reconcile(t, rec, reconcile.Summary{Ended: 1, Tokens: 1})
	r.clock.Advance(9 * authtest.Day)
	r.reconcile(t, rec, reconcile.Summary{})
	if got := r.adaInCoder(t); got.Status == "suspended" || r.works(t, key) {
		t.Errorf("she is %s, her key works: %v", got.Status, r.works(t, key))
	}
}

// A dry run tells, and does nothing.
func TestADryRunOfARule(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), proOnly)
	key := r.mintAs(t, pro, "aal1").key(t)
	r.mintAs(t, free, "aal1")
	rec := r.reconciler()
	sum, err := rec.Reconcile(t.Context(), true)
	if err != nil || sum.Ineligible != 1 || !r.account(t, ada).IneligibleSince.IsZero() {
		t.Errorf("%s, %v", sum, err)
	}
	r.wantWorkingKey(t, key, "ada@example.com")
}

// What users write themselves opens nothing that a rule over app_metadata keeps shut.
func TestUserMetadataIsNotAppMetadata(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), proOnly)
	claims := claimsAt(r.Now(), ada, "ada@example.com")
	claims["app_metadata"] = map[string]any{"plan": "free"}
	claims["user_metadata"] = map[string]any{"plan": "pro", "app_metadata": map[string]any{"plan": "pro"}, "claims": map[string]any{"app_metadata": map[string]any{"plan": "pro"}}}
	if got := r.mintClaims(t, ada, claims); got.keyStatus(t) != "not_eligible" {
		t.Errorf("%s", got.body)
	}
}

// Whatever the rules were and are: when all tokens of before have expired, no key lives that no rule of now gives, and none that
// was made with more than the rule of now gives.
func TestNoChangeOfPolicyLeavesAKeyAlive(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many runs")
	}
	lines := []string{
		`{name: pro, when: claims.app_metadata.plan == "pro", give: {}}`,
		`{name: free, when: claims.app_metadata.plan == "free", give: {scopes: ["workspace:read"]}}`,
		`{name: blocked, when: has(claims.app_metadata.blocked), give: none}`,
		`{name: short, when: user.domain == "example.com", give: {scopes: ["template:read"], lifetime: 24h}}`,
		`{name: nobody, when: "true", give: none}`,
	}
	people := []string{pro, free, `{"plan":"pro","blocked":true}`, `{"plan":"free","blocked":true}`, `{}`}
	random := rand.New(rand.NewPCG(15, uint64(time.Now().UnixNano())))
	file := func() string {
		order := random.Perm(len(lines))[:1+random.IntN(len(lines))]
		text := "rules:\n"
		for _, i := range order {
			text += "- " + lines[i] + "\n"
		}
		return text
	}
	r := newRuled(t, profileNew(), file())
	rec := r.reconciler()
	var said []string
	for range 25 {
		text, person := file(), people[random.IntN(len(people))]
		r.change(t, text)
		said = append(said, text+"  for "+person)
		if random.IntN(3) == 0 { // who does not come is not spared
			r.db.Exec(t, `update auth.users set raw_app_meta_data = $2::jsonb where id = $1`, ada, person)
		} else {
			r.mintAs(t, person, "aal1")
		}
		for range 3 { // told, then withdrawn, and what is late
			r.clock.Advance(80 * time.Minute)
			if _, err := rec.Reconcile(t.Context(), false); err != nil {
				t.Fatal(err)
			}
		}
		given := r.Keyring.Rules.Current().Decide(rules.OfUser(factsOf(t, r.world, ada)))
		for _, token := range r.tokensAlive() {
			scopes := "all"
			if !slices.Equal(token.Scopes, []string{"coder:all"}) {
				scopes = strings.Join(token.Scopes, " ")
			}
			switch {
			case given.Give == nil:
				t.Errorf("a key lives that no rule gives:\n%s", strings.Join(said, "\n"))
			case given.Give.Grant == "" != (scopes == "all"), given.Give.Grant != "" && !strings.Contains(given.Give.Grant, scopes):
				t.Errorf("rule %s gives %q, and a key has %s:\n%s", given.Rule, given.Give.Grant, scopes, strings.Join(said, "\n"))
			}
		}
		if t.Failed() {
			return
		}
	}
}

func factsOf(t *testing.T, w *world, user uuid.UUID) store.UserFacts {
	t.Helper()
	facts, err := w.store.UserFacts(t.Context(), []uuid.UUID{user})
	if err != nil || len(facts) != 1 {
		t.Fatalf("%v, %v", facts, err)
	}
	return facts[0]
}

// tokensAlive are Ada's tokens that have not expired.
func (r *ruled) tokensAlive() (alive []codertest.Key) {
	if _, made := r.coder.User("ada0ada0"); !made {
		return nil
	}
	for _, token := range r.tokensOfAda() {
		if token.ExpiresAt.After(r.Now()) {
			alive = append(alive, token)
		}
	}
	return alive
}

// The front end's routes refuse whom a rule gives no key, with the rule's reason, whatever key the token carries.
func TestFrontEndRefusesByRule(t *testing.T) {
	t.Parallel()
	policy, err := rules.Parse([]byte(proOnly), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := profileNew()
	s.server = func(server *Server) {
		server.Keyring.Rules = rules.NewLive(rules.Source{}, policy, server.Registry, zerolog.Nop())
		server.FrontEnd.Callers.Rules = func(ctx context.Context, who accesstoken.Caller) (string, error) {
			return server.Keyring.Refuses(ctx, who.User, []byte(who.Raw))
		}
	}
	f := newFront(t, s)
	user := f.db.AddUser(t, "ada@example.com")
	claims := f.project.Claims(user.String(), "ada@example.com")
	claims["app_metadata"] = map[string]any{"plan": "free", "api_key": "AbCdEfGhIj-0123456789012345678901"}
	token := f.sign(t, claims)
	for name, got := range map[string]reply{"create": f.create(t, token), "enter": f.enter(t, token, appURI)} {
		if got.status != 403 || !strings.Contains(string(got.body), "not eligible: a plan is needed") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	claims["app_metadata"] = map[string]any{"plan": "pro"}
	if got := f.create(t, f.sign(t, claims)); got.status != 201 {
		t.Errorf("pro: %d %s", got.status, got.body)
	}
}

// A rule says for whom the key stays out of the claims, or is in them all the same.
func TestInClaimsByRule(t *testing.T) {
	t.Parallel()
	const file = `
rules:
  - {name: pro, when: claims.app_metadata.plan == "pro", give: {in_claims: IN}}
  - {name: others, when: "true", give: {}}
`
	for name, test := range map[string]struct {
		in  string
		out bool // without a rule
	}{"kept out": {"false", false}, "let in": {"true", true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := profileNew()
			s.options.OutOfClaims = test.out
			r := newRuled(t, s, strings.Replace(file, "IN", test.in, 1))
			r.OutOfClaims = test.out
			in, out := r.mintAs(t, free, "aal1"), r.mintAs(t, pro, "aal1")
			if test.out {
				in, out = out, in
			}
			if in.key(t) == "" || out.key(t) != "" || out.keyStatus(t) != "ready" {
				t.Errorf("in %s\nout %s", in.body, out.body)
			}
		})
	}
}

// A key that may do more than the rules give now ends, also where its user does not come back.
func TestPolicyThatNarrows(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), `rules: [{name: all, when: "true", give: {}}]`)
	key := r.mintAs(t, pro, "aal1").key(t)
	r.change(t, `rules: [{name: all, when: "true", give: {scopes: ["workspace:read"]}}]`)
	rec := r.reconciler()
	r.reconcile(t, rec, reconcile.Summary{Ended: 1})
	r.wantWorkingKey(t, key, "ada@example.com") // a token may carry it
	r.clock.Advance(90 * time.Minute)
	r.reconcile(t, rec, reconcile.Summary{Tokens: 1})
	if r.works(t, key) {
		t.Error("the wide key is alive")
	}
}

// A version that does not know of rules makes a key for everything, and leaves in the ledger what was said of the key before.
func TestAKeyOfAVersionWithoutRules(t *testing.T) {
	t.Parallel()
	r := newRuled(t, profileNew(), `rules: [{name: all, when: "true", give: {scopes: ["workspace:read"]}}]`)
	narrow := r.mintAs(t, pro, "aal1").key(t)
	wide := r.coder.AddToken("ada0ada0", apikey.Prefix+"oooooooooooo", 7*authtest.Day)
	r.db.Exec(t, `update coderhook.accounts set key_id = $1`, wide.ID)
	r.db.Exec(t, `update public.profiles set api_key = $1`, wide.Whole)
	if got := r.mintAs(t, pro, "aal1").key(t); got == wide.Whole || got == narrow || got == "" {
		t.Errorf("handed out %q", got)
	}
}
