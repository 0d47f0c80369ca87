package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// A set is all keys that a user's sessions may share: they are made with the same grant, and the rule says the same of
// whether tokens carry them. Sessions that are given different sets have different keys.

// nameSets gives each rule's set its name. What it is made of may be long, and stands in a primary key.
func (p *Policy) nameSets() {
	names := map[string]bool{}
	depends := false
	for _, rule := range p.Rules {
		depends = depends || len(rule.When.unknown) > 0
		if rule.Give == nil {
			continue
		}
		carried := ""
		if rule.Give.InClaims != nil && *rule.Give.InClaims {
			carried = "in claims"
		} else if rule.Give.InClaims != nil {
			carried = "out of claims"
		}
		sum := sha256.Sum256([]byte(rule.Give.Grant + "\n" + carried))
		rule.Give.set = hex.EncodeToString(sum[:12])
		names[rule.Give.set] = true
	}
	p.several = depends && len(names) > 1
}

// Several reports whether sessions of one user may be given different keys.
func (p *Policy) Several() bool { return p.several }

// Sets tells which keys a user may be given, in whatever session.
type Sets struct {
	Home *Give   // whose key the profile has; nil: none
	All  []*Give // one of each set
}

// Of returns where the key stands that a rule gives: "" is the profile.
func (s Sets) Of(g *Give) string {
	if s.Home != nil && s.Home.set == g.set {
		return ""
	}
	return g.set
}

// Beside returns the sets whose keys stand beside the profile.
func (s Sets) Beside() (names []string) {
	for _, g := range s.All {
		if set := s.Of(g); set != "" {
			names = append(names, set)
		}
	}
	return names
}

// Sets finds out which keys the user may be given. Of several the profile has the widest that no rule keeps out of tokens:
// one gives way to the next in the file that may do all that it may, and more. Given is what a rule gives the session at
// hand, if there is one: it counts, whatever else is known.
func (p *Policy) Sets(f Facts, given *Give) (s Sets) {
	f.Session = false
	possible := p.Possible(f)
	if given != nil {
		possible = append(possible, given)
	}
	for _, g := range possible {
		if !slices.ContainsFunc(s.All, func(known *Give) bool { return known.set == g.set }) {
			s.All = append(s.All, g)
		}
	}
	if len(s.All) == 1 {
		s.Home = s.All[0]
		return s
	}
	for _, g := range s.All {
		switch {
		case g.InClaims != nil && !*g.InClaims:
		case s.Home == nil, g.grant.Includes(s.Home.grant) && !s.Home.grant.Includes(g.grant):
			s.Home = g
		}
	}
	return s
}

// Set is the name of the set that the key belongs to.
func (g *Give) Set() string { return g.set }

// RulesOf names the rules that give a key of that set.
func (p *Policy) RulesOf(set string) (names []string) {
	for _, rule := range p.Rules {
		if rule.Give != nil && rule.Give.set == set {
			names = append(names, rule.Name)
		}
	}
	return names
}

// Place is where the key stands that a rule gives a session: see [Sets.Of].
func (p *Policy) Place(f Facts, given *Give) string {
	if !p.several {
		return ""
	}
	return p.Sets(f, given).Of(given)
}
