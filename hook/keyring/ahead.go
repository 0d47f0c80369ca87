package keyring

import (
	"context"
	"time"

	"coderhook/hook/claims"
	"coderhook/hook/provision"
	"coderhook/hook/rules"
	"coderhook/store"
)

// Entitled returns why the rules give a user no key in whatever session, as a [*provision.IneligibleError], or nil.
func (k *Keyring) Entitled(f store.UserFacts) error {
	_, err := k.giveAhead(f)
	return err
}

// giveAhead is what the rules give a user whose session is not known: what the first one gives that gives a key in some.
func (k *Keyring) giveAhead(f store.UserFacts) (g given, err error) {
	if k.Rules == nil || k.Rules.Audit {
		return g, nil
	}
	d := k.Rules.Current().Decide(rules.OfUser(f))
	if d.Ineligible() {
		return g, &provision.IneligibleError{Rule: d.Rule, Reason: d.Reason}
	}
	return given{rule: d.Rule, grant: d.Give.Grant, organization: d.Give.Organization}, nil
}

// Ahead makes a user's key for whom no sign-in waits, if there is none that lives until then. It waits for its turn within
// Coder's rate limit. Result.Answered stores the key.
func (k *Keyring) Ahead(ctx context.Context, f store.UserFacts, email string, until time.Time) provision.Result {
	g, err := k.giveAhead(f)
	if err != nil {
		return provision.Result{Err: err, Answered: func() {}}
	}
	known, err := k.Accounts.Lookup(ctx, f.UserID)
	if err != nil {
		return provision.Result{Err: err, Answered: func() {}}
	}
	rule := k.Rule
	rule.Grant = g.grant
	if rule.Judge(known, until, k.Now()).Usable() {
		return provision.Result{Key: known.APIKey, Reason: provision.ReasonFound, Answered: func() {}}
	}
	return k.Provisioner.Ahead(ctx, provision.Request{
		User: f.UserID, Email: email, Until: until, Known: known, Grant: g.grant, Organization: g.organization, Name: claims.FullName(f.Claims),
		OutOfClaims: true, // no token carries it yet
	})
}
