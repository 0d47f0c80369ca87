package keyring

import (
	"context"
	"errors"
	"time"

	"coderhook/hook/claims"
	"coderhook/hook/provision"
	"coderhook/hook/rules"
	"coderhook/store"

	"github.com/google/uuid"
)

// Entitled returns why the rules give a user no key in whatever session, as a [*provision.IneligibleError], or nil.
func (k *Keyring) Entitled(f store.UserFacts) error {
	_, err := k.giveAhead(f)
	return err
}

// giveAhead is what the rules give a user whose session is not known: what the first one gives that gives a key in some;
// of several keys the one that the profile has.
func (k *Keyring) giveAhead(f store.UserFacts) (g given, err error) {
	if k.Rules == nil || k.Rules.Audit {
		return g, nil
	}
	policy := k.Rules.Current()
	d := policy.Decide(rules.OfUser(f))
	if d.Ineligible() {
		return g, &provision.IneligibleError{Rule: d.Rule, Reason: d.Reason}
	}
	give := d.Give
	if policy.Several() {
		of := rules.OfUser(f)
		of.Chained = k.Rules.Chained
		sets := policy.Sets(of, nil)
		if give = sets.Home; give == nil {
			give = sets.All[0]
		}
		g.set = sets.Of(give)
	}
	g.rule, g.grant, g.organization = d.Rule, give.Grant, give.Organization
	return g, nil
}

// Ahead makes a user's key for whom no sign-in waits, if there is none that lives until then. It waits for its turn within
// Coder's rate limit. Result.Answered stores the key.
func (k *Keyring) Ahead(ctx context.Context, f store.UserFacts, email string, until time.Time) provision.Result {
	g, err := k.giveAhead(f)
	if err != nil {
		return provision.Result{Err: err, Answered: func() {}}
	}
	known, err := k.seen(ctx, f.UserID, g.set)
	if err != nil {
		return provision.Result{Err: err, Answered: func() {}}
	}
	rule := k.Rule
	rule.Grant = g.grant
	if rule.Judge(known, until, k.Now()).Usable() {
		return provision.Result{Key: known.APIKey, Reason: provision.ReasonFound, Answered: func() {}}
	}
	return k.Provisioner.Ahead(ctx, provision.Request{
		User: f.UserID, Email: email, Until: until, Known: known, Grant: g.grant, Set: g.set, Organization: g.organization, Name: claims.FullName(f.Claims),
		OutOfClaims: true, // no token carries it yet
	})
}

// seen is the user with the key that stands there.
func (k *Keyring) seen(ctx context.Context, user uuid.UUID, set string) (store.Account, error) {
	if set == "" {
		return k.Accounts.Lookup(ctx, user)
	}
	account, err := k.Accounts.LookupSets(ctx, user)
	return account.In(set), err
}

// Seen is the user with the key that is for the bearer of a token, and what that is to be made with. It may be a few
// seconds behind the database.
func (k *Keyring) Seen(ctx context.Context, user uuid.UUID, claims []byte) (a store.Account, grant string, err error) {
	if k.Rules == nil || k.Rules.Audit {
		a, err = k.Accounts.Lookup(ctx, user)
		return a, a.KeyGrant, err // a mint sees to it that it is the one of now
	}
	set, grant, err := k.givenTo(ctx, user, claims)
	if err == nil {
		a, err = k.seen(ctx, user, set)
	}
	return a, grant, err
}

// makeKey has a key made for a user whose session is not known, as the rules give it now: what the last one was made with
// may be more.
func (k *Keyring) makeKey(ctx context.Context, known store.Account, life time.Duration) error {
	if k.Rules == nil || k.Rules.Audit {
		return k.Provisioner.MakeKey(ctx, known, life)
	}
	facts, err := k.Users.UserFacts(ctx, []uuid.UUID{known.UserID})
	if err != nil || len(facts) != 1 {
		return errors.Join(err, errors.New("the next token mint makes it"))
	}
	g, err := k.giveAhead(facts[0])
	if err == nil {
		known, err = k.seen(ctx, known.UserID, g.set)
	}
	if err != nil {
		return err
	}
	known.KeyGrant = g.grant
	return k.Provisioner.MakeKey(ctx, known, life)
}
