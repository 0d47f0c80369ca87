package exposure

import (
	"slices"

	"coderhook/store"
)

// Reach is how far a role of the Data API gets at the keys of a place: rights and policies together.
type Reach struct {
	Role                 string
	Read, Insert, Update Level
	Move                 Level // of the id: a row with a key that is given to another user
}

func reachOf(a store.Access, policies []store.Policy, id string) Reach {
	r := Reach{Role: a.Role}
	reads := func(p store.Policy) Level { return Of(p.Reads, id) }
	writes := func(p store.Policy) Level { return Of(p.Writes, id) }
	both := func(p store.Policy) Level { return min(reads(p), writes(p)) }
	if a.Read {
		r.Read = combined(a, policies, "r", reads)
	}
	if a.Insert {
		r.Insert = combined(a, policies, "a", writes)
	}
	if a.Update {
		r.Update = combined(a, policies, "w", both)
	}
	if a.Move && combined(a, policies, "w", both) != Nobody {
		r.Move = max(combined(a, policies, "w", reads), combined(a, policies, "w", writes))
	}
	if r.Move == OwnRow { // own before and after: it stays where it is
		r.Move = Nobody
	}
	return r
}

// combined is what Postgres makes of several policies: any permissive one allows, every restrictive one must.
func combined(a store.Access, policies []store.Policy, command string, of func(store.Policy) Level) Level {
	if a.AbovePolicies {
		return Everyone
	}
	allowed, limit := Nobody, Everyone
	for _, p := range policies {
		if !slices.Contains(p.Roles, a.Role) || p.Command != "*" && p.Command != command {
			continue
		}
		if p.Restrictive {
			limit = min(limit, of(p))
		} else {
			allowed = max(allowed, of(p))
		}
	}
	if got := min(allowed, limit); got != OwnRow || a.Role != "anon" {
		return got
	}
	return Nobody // who is not signed in has no row
}
