package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"coderhook/store"
)

// reach is how far a role of the Data API gets at the keys: rights and policies together.
type reach struct {
	read, insert, update exposure
	move                 exposure // of the id: a row with a key that is given to another user
}

// checkAccess is about who can read or write the keys by the Data API, past the server.
func (d *doctor) checkAccess(ctx context.Context, i *store.Inspector) error {
	roles, err := i.Access(ctx)
	if err != nil || len(roles) == 0 {
		return err
	}
	policies, err := i.Policies(ctx)
	if err != nil {
		return err
	}
	grants, err := i.Grants(ctx)
	if err != nil {
		return err
	}
	cures := revocations{i: i, grants: grants, shape: d.shape}
	for _, role := range roles {
		r := reachOf(role, policies, d.shape.ID)
		d.judgeRead(role.Role, r, cures)
		d.judgeWrite(role.Role, r, cures)
	}
	return nil
}

func (d *doctor) judgeRead(role string, r reach, cures revocations) {
	check := "keys, read by " + role
	c := cures.of(role, "SELECT")
	c.do += "; select('*') is refused from then on, so name the columns in the front end"
	switch r.read {
	case everyone:
		d.fail(check, c, "everybody with the role %s can read the keys of all users", role)
	case unclear:
		d.warn(check, c, "a policy that is too involved to be judged here lets %s read rows with their keys", role)
	case ownRow:
		d.warn(check, c, "a user can read the own key by the Data API, and so can third-party OAuth clients and sessions without a second factor, which get no key in their tokens")
	default:
		d.ok(check, "nobody's")
	}
}

func (d *doctor) judgeWrite(role string, r reach, cures revocations) {
	var can, privileges []string
	for _, w := range []struct {
		privilege, text string
		by              exposure
	}{
		{"INSERT", "insert a profile with a key", r.insert},
		{"UPDATE", "change a key", r.update},
		{"UPDATE", "give a profile with its key to another user, by changing its id", r.move},
	} {
		if w.by != nobody {
			can, privileges = append(can, w.text), append(privileges, w.privilege)
		}
	}
	check := "keys, written by " + role
	if len(can) == 0 {
		d.ok(check, "nobody's")
		return
	}
	whose := "their own"
	if worst := max(r.insert, r.update, r.move); worst > ownRow {
		whose = "other users'"
	}
	d.fail(check, cures.of(role, slices.Compact(privileges)...), "users with the role %s can plant a key in %s profile: %s", role, whose, strings.Join(can, "; "))
}

// revocations write the SQL that takes rights on the key away and leaves those on all other columns.
type revocations struct {
	i      *store.Inspector
	grants []store.Grant
	shape  store.Table
}

func (v revocations) of(role string, privileges ...string) cure {
	var sql []string
	for _, g := range v.grants {
		if slices.Contains(g.Roles, role) && slices.Contains(privileges, g.Privilege) {
			sql = append(sql, v.revoke(g)...)
		}
	}
	if len(sql) == 0 { // the role is a superuser, owns the table, or has a role like pg_read_all_data
		return cure{do: fmt.Sprintf("take from %s the membership or attribute that lets it at %s", role, v.i.Table())}
	}
	return runSQL(strings.Join(sql, "\n"))
}

// revoke takes the whole table's right, as one on a column can't be taken out of it, and gives
// the other columns' back. The id is not among those to be updated: see reach.
func (v revocations) revoke(g store.Grant) []string {
	verb := strings.ToLower(g.Privilege)
	if g.OfColumn {
		columns := v.i.Key()
		if g.Privilege == "UPDATE" {
			columns += ", " + v.i.ID()
		}
		return []string{fmt.Sprintf("revoke %s (%s) on %s from %s;", verb, columns, v.i.Table(), g.Grantee)}
	}
	sql := []string{fmt.Sprintf("revoke %s on %s from %s;", verb, v.i.Table(), g.Grantee)}
	columns := slices.DeleteFunc(slices.Clone(v.shape.Others), func(c string) bool { return g.Privilege == "UPDATE" && c == v.shape.ID })
	if len(columns) > 0 {
		sql = append(sql, fmt.Sprintf("grant %s (%s) on %s to %s;", verb, strings.Join(columns, ", "), v.i.Table(), g.Grantee))
	}
	return sql
}

func reachOf(a store.Access, policies []store.Policy, id string) reach {
	var r reach
	reads := func(p store.Policy) exposure { return exposureOf(p.Reads, id) }
	writes := func(p store.Policy) exposure { return exposureOf(p.Writes, id) }
	both := func(p store.Policy) exposure { return min(reads(p), writes(p)) }
	if a.Read {
		r.read = combined(a, policies, "r", reads)
	}
	if a.Insert {
		r.insert = combined(a, policies, "a", writes)
	}
	if a.Update {
		r.update = combined(a, policies, "w", both)
	}
	if a.Move && combined(a, policies, "w", both) != nobody {
		r.move = max(combined(a, policies, "w", reads), combined(a, policies, "w", writes))
	}
	if r.move == ownRow { // own before and after: it stays where it is
		r.move = nobody
	}
	return r
}

// combined is what Postgres makes of several policies: any permissive one allows, every restrictive one must.
func combined(a store.Access, policies []store.Policy, command string, of func(store.Policy) exposure) exposure {
	if a.AbovePolicies {
		return everyone
	}
	allowed, limit := nobody, everyone
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
	if got := min(allowed, limit); got != ownRow || a.Role != "anon" {
		return got
	}
	return nobody // who is not signed in has no row
}
