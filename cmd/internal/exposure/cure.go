package exposure

import (
	"fmt"
	"slices"
	"strings"

	"coderhook/store"
)

// Cure is the SQL that takes the privileges on the keys of a place from a role, and leaves those on all other
// columns. There is none where the role has them by other means than grants.
func (p Place) Cure(role string, privileges ...string) []string {
	var sql []string
	for _, g := range p.grants {
		if slices.Contains(g.Roles, role) && slices.Contains(privileges, g.Privilege) {
			sql = append(sql, p.revoke(g)...)
		}
	}
	return sql
}

// revoke takes the whole relation's right, as one on a column can't be taken out of it, and gives the other columns' back.
func (p Place) revoke(g store.Grant) []string {
	verb := strings.ToLower(g.Privilege)
	if g.Column != "" {
		if g.Column == p.idName() && !p.moved(g) {
			return nil
		}
		return []string{fmt.Sprintf("revoke %s (%s) on %s from %s;", verb, g.Column, p.Name, g.Grantee)}
	}
	sql := []string{fmt.Sprintf("revoke %s on %s from %s;", verb, p.Name, g.Grantee)}
	var others []string
	for n, number := range p.Numbers {
		if !slices.Contains(p.keys, number) && (number != p.ID || g.Privilege != "UPDATE" || !p.moved(g)) {
			others = append(others, p.Columns[n])
		}
	}
	if len(others) > 0 {
		sql = append(sql, fmt.Sprintf("grant %s (%s) on %s to %s;", verb, strings.Join(others, ", "), p.Name, g.Grantee))
	}
	return sql
}

// moved reports whether the grant lets a row with its key be given to another user. Else the id stays writable: an
// upsert writes it.
func (p Place) moved(g store.Grant) bool {
	return slices.ContainsFunc(p.Reaches, func(r Reach) bool { return r.Move != Nobody && slices.Contains(g.Roles, r.Role) })
}

func (p Place) idName() string {
	if n := slices.Index(p.Numbers, p.ID); n >= 0 {
		return p.Columns[n]
	}
	return ""
}

// Lock is the SQL that puts the keys out of reach of the Data API at all places, whatever the policies are.
func (r Report) Lock() []string {
	var sql []string
	for _, p := range r.Places {
		for _, g := range p.grants {
			if len(g.Roles) > 0 && (p.Kind != store.Copy || g.Privilege == "SELECT") {
				sql = append(sql, p.revoke(g)...)
			}
		}
	}
	return sql
}
