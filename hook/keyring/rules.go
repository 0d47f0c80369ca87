package keyring

import (
	"context"
	"fmt"
	"sync"
	"time"

	"coderhook/hook/provision"
	"coderhook/hook/reconcile"
	"coderhook/hook/rules"
	"coderhook/store"

	"github.com/google/uuid"
)

// given is what rules give. Its zero value is what all get without.
type given struct {
	rule         string
	grant        string
	set          string // where the key stands; of who is asked about ahead
	organization string
	inClaims     *bool  // nil: as the token would be anyway
	audit        string // what the rules would have done
}

// look looks the user up, and asks the rules. The error is a [*provision.IneligibleError] for who gets no key. What no
// rule looks at is not read.
func (k *Keyring) look(ctx context.Context, w Wanted) (account store.Account, g given, err error) {
	if k.Rules == nil {
		account, err = k.Accounts.Lookup(ctx, w.User)
		return account, g, err
	}
	policy := k.Rules.Current()
	account, facts, err := k.lookFor(ctx, policy, w.User)
	if err != nil && k.Rules.Audit && ctx.Err() == nil { // rules that are only told take nobody's key
		k.Log.Warn().Err(err).Stringer("user_id", w.User).Msg("not known what the rules would have done")
		g.audit = "(unknown)"
		account, err = k.Accounts.Lookup(ctx, w.User)
		return account, g, err
	}
	if err != nil {
		return account, g, err
	}
	d := k.Rules.Decide(policy, rules.OfSession(w.Claims, facts))
	if k.Rules.Audit {
		g.audit = would(d)
		return account, g, nil
	}
	g.rule = d.Rule
	if !d.Key() {
		return account, g, &provision.IneligibleError{Rule: d.Rule, Reason: d.Reason, Unsettled: unsettled(policy, w, facts)}
	}
	g.grant, g.organization, g.inClaims = d.Give.Grant, d.Give.Organization, d.Give.InClaims
	return account.In(k.place(policy, w.Claims, facts, d.Give)), g, nil
}

// lookFor looks a user up as a policy needs it.
func (k *Keyring) lookFor(ctx context.Context, p *rules.Policy, user uuid.UUID) (account store.Account, facts store.UserFacts, err error) {
	needsFacts, several := p.NeedsProfile() || p.NeedsAuth(), p.Several() && !k.Rules.Audit
	switch {
	case needsFacts && several:
		return k.Accounts.LookupFactsSets(ctx, user, p.NeedsAuth())
	case needsFacts:
		return k.Accounts.LookupFacts(ctx, user, p.NeedsAuth())
	case several:
		account, err = k.Accounts.LookupSets(ctx, user)
	default:
		account, err = k.Accounts.Lookup(ctx, user)
	}
	return account, facts, err
}

// place tells where the key stands that a rule gives a session: the same for all that know of the user what this one does.
func (k *Keyring) place(p *rules.Policy, claims []byte, facts store.UserFacts, give *rules.Give) string {
	f := rules.OfSession(claims, facts)
	f.Chained = k.Rules.Chained
	return p.Place(f, give)
}

// unsettled: the sign-in that asks may be the one in which the user comes to be, or confirms the address. Supabase Auth
// commits it after our answer, so that only the next token shows what came of it.
func unsettled(p *rules.Policy, w Wanted, f store.UserFacts) bool {
	return w.SigningIn && p.NeedsAuth() && (!f.Exists || f.ConfirmedEmail == "")
}

// would says what the rules would have done, in audit mode.
func would(d rules.Decision) string {
	rule := d.Rule
	if rule == "" {
		rule = "(none)"
	}
	if d.Key() {
		return rule + ": key"
	}
	return rule + ": none"
}

// Refuses tells, for a token that is not being minted, why the rules give its bearer no key, or "". It may be a few
// seconds behind the database.
func (k *Keyring) Refuses(ctx context.Context, user uuid.UUID, claims []byte) (reason string, err error) {
	if k.Rules == nil || k.Rules.Audit {
		return "", nil
	}
	policy := k.Rules.Current()
	facts, err := k.recent(ctx, policy, user)
	if err != nil {
		return "", err
	}
	if d := policy.Decide(rules.OfSession(claims, facts)); !d.Key() {
		return d.Reason, nil
	}
	return "", nil
}

// recent are facts of a user that may be a few seconds old; none where the policy needs none.
func (k *Keyring) recent(ctx context.Context, p *rules.Policy, user uuid.UUID) (facts store.UserFacts, err error) {
	if p.NeedsProfile() || p.NeedsAuth() {
		return k.facts.get(ctx, k, user, p.NeedsAuth())
	}
	return facts, nil
}

// Kind names which of the user's keys is for the bearer of a token: see store.Account.In. It may be a few seconds behind
// the database.
func (k *Keyring) Kind(ctx context.Context, user uuid.UUID, claims []byte) (set string, err error) {
	if k.Rules == nil || k.Rules.Audit || !k.Rules.Current().Several() {
		return "", nil
	}
	set, _, err = k.givenTo(ctx, user, claims)
	return set, err
}

// givenTo tells where the key stands that the rules give the bearer of a token, and what it is made with.
func (k *Keyring) givenTo(ctx context.Context, user uuid.UUID, claims []byte) (set, grant string, err error) {
	policy := k.Rules.Current()
	facts, err := k.recent(ctx, policy, user)
	if err != nil {
		return "", "", err
	}
	d := policy.Decide(rules.OfSession(claims, facts))
	if !d.Key() {
		return "", "", &provision.IneligibleError{Rule: d.Rule, Reason: d.Reason}
	}
	return k.place(policy, claims, facts, d.Give), d.Give.Grant, nil
}

// standing tells what the rules make of a user, whatever the session.
func (k *Keyring) standing(ctx context.Context, user uuid.UUID) (reconcile.Standing, error) {
	facts, err := k.Users.UserFacts(ctx, []uuid.UUID{user})
	switch {
	case err != nil:
		return reconcile.Standing{}, err
	case len(facts) != 1 || !facts[0].Exists:
		return reconcile.Standing{}, fmt.Errorf("read facts of user %s: they are not there any more", user)
	}
	policy, f := k.Rules.Current(), rules.OfUser(facts[0])
	f.Chained = k.Rules.Chained
	sets := policy.Sets(f, nil)
	s := reconcile.Standing{}
	if policy.Several() {
		s.Sets = sets.Beside()
	}
	for _, give := range sets.All {
		s.Carried = s.Carried || give.InClaims != nil && *give.InClaims
		if !policy.Several() || give == sets.Home {
			s.Grants = append(s.Grants, give.Grant)
		}
	}
	if len(sets.All) == 0 {
		d := policy.Decide(f)
		s.Barred = (&provision.IneligibleError{Rule: d.Rule, Reason: d.Reason}).Error()
	}
	return s, nil
}

const (
	factsFor = 5 * time.Second
	maxFacts = 10_000 // users
)

// factsCache has the facts of users who call at the moment, so that not each of a page's requests asks the database. Its
// zero value is ready.
type factsCache struct {
	mu    sync.Mutex
	known map[uuid.UUID]cachedFacts
}

type cachedFacts struct {
	facts store.UserFacts
	auth  bool
	until time.Time
}

func (c *factsCache) get(ctx context.Context, k *Keyring, user uuid.UUID, auth bool) (store.UserFacts, error) {
	now := k.Now()
	c.mu.Lock()
	cached, known := c.known[user]
	c.mu.Unlock()
	if known && now.Before(cached.until) && (cached.auth || !auth) {
		return cached.facts, nil
	}
	_, facts, err := k.Accounts.LookupFacts(ctx, user, auth)
	if err != nil {
		return facts, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxFacts {
		c.known = make(map[uuid.UUID]cachedFacts)
	}
	c.known[user] = cachedFacts{facts, auth, now.Add(factsFor)}
	return facts, nil
}
