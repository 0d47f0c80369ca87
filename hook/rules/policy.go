package rules

import (
	"slices"
	"sync/atomic"
	"time"

	"coderhook/hook/grant"
)

// Policy is a policy file, compiled.
type Policy struct {
	Rules []*Rule

	text    []byte // of the file
	uses    uses
	several bool // sessions of one user may be given different keys
}

// Rule gives those a key, or none, for whom its condition holds and none before it does.
type Rule struct {
	Name   string
	When   *Expr
	Give   *Give  // nil: no key
	Reason string // why none, for the user to read

	failed atomic.Bool // which was told
}

// Give is what a rule gives. What it says nothing of is as without rules.
type Give struct {
	Grant        string // what the key is made with, as [grant.Grant] writes it; "": as all are
	Lifetime     time.Duration
	Organization string // name or id, where the account is made
	AAL          string // a session needs it to be given the key
	InClaims     *bool  // tokens carry the key; nil: as KEY_IN_CLAIMS says

	grant grant.Grant // Grant, before it was written
	set   string      // its name, see [Sets]
}

// Failure says that a rule's condition could not be evaluated. It counts as one that does not hold.
type Failure struct {
	Rule *Rule
	Err  error
}

// Decision is what a policy makes of somebody.
type Decision struct {
	Rule    string // that decides; "" where none holds
	Give    *Give  // nil: no key
	Reason  string // why none, for the user to read
	LowAAL  bool   // there would be one for a session with Give.AAL
	Depends bool   // it depends on the session whether this rule is the one: the facts are a user's

	Failures []Failure
}

// Possible returns all that may be given to somebody, of whose session not all is known: what the rules give that may
// hold, up to the first that does.
func (p *Policy) Possible(f Facts) (gives []*Give) {
	v := newVars(f, p.uses)
	for _, rule := range p.Rules {
		truth, _ := rule.When.holds(v)
		if truth != No && rule.Give != nil {
			gives = append(gives, rule.Give)
		}
		if truth == Yes {
			break
		}
	}
	return gives
}

// ReasonNone is told where no rule holds, or the one that does gives no reason.
const ReasonNone = "no development environment is provided for your account"

// ReasonAAL is told where a second factor would help.
const ReasonAAL = "sign in with a second factor to get your development environment"

// Key reports whether there is a key for the session that was decided about.
func (d Decision) Key() bool { return d.Give != nil && !d.LowAAL }

// Ineligible reports whether no rule gives the user a key, in whatever session.
func (d Decision) Ineligible() bool { return d.Give == nil }

// Decide finds the first rule that holds. Of a user, the first that gives a key in some session counts.
func (p *Policy) Decide(f Facts) Decision {
	v := newVars(f, p.uses)
	d := Decision{Reason: ReasonNone}
	for _, rule := range p.Rules {
		truth, err := rule.When.holds(v)
		if err != nil {
			d.Failures = append(d.Failures, Failure{rule, err})
		}
		if truth == No || truth == Depends && rule.Give == nil {
			d.Depends = d.Depends || truth == Depends
			continue
		}
		d.Rule, d.Give, d.Depends = rule.Name, rule.Give, d.Depends || truth == Depends
		if rule.Reason != "" {
			d.Reason = rule.Reason
		}
		if f.Session && rule.Give != nil && rule.Give.AAL != "" {
			aal, _ := v.read()["aal"].(string)
			if d.LowAAL = aal < rule.Give.AAL; d.LowAAL { // "aal1" < "aal2" < "aal3"
				d.Reason = ReasonAAL
			}
		}
		return d
	}
	d.Depends = false // which of those that give nothing it is
	return d
}

// NeedsProfile reports whether a condition looks at the product's table.
func (p *Policy) NeedsProfile() bool { return len(p.uses.profile) > 0 }

// NeedsAuth reports whether a condition looks at what only auth.users has.
func (p *Policy) NeedsAuth() bool { return p.uses.auth }

// Shortest is the shortest lifetime that a rule gives; 0: none gives one.
func (p *Policy) Shortest() (shortest time.Duration) {
	for _, rule := range p.Rules {
		if rule.Give != nil && rule.Give.Lifetime > 0 && (shortest == 0 || rule.Give.Lifetime < shortest) {
			shortest = rule.Give.Lifetime
		}
	}
	return shortest
}

// Warnings say what is allowed, and probably not meant.
func (p *Policy) Warnings() (warnings []string) {
	for _, rule := range p.Rules {
		if u := rule.When.uses; rule.Give != nil && (u.allClaims || slices.Contains(u.claims, "user_metadata")) {
			warnings = append(warnings, "rule "+rule.Name+" gives a key by what stands in claims.user_metadata, which users write themselves: app_metadata is what only the project writes")
		}
	}
	return warnings
}
