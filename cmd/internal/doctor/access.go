package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"coderhook/cmd/internal/exposure"
	"coderhook/store"
)

// nameColumns is what the front end has to do once a column is out of its reach.
const nameColumns = "; select('*') is refused from then on, so name the columns in the front end"

// checkAccess finds out who can read or write the keys by the Data API, past the server.
func (d *Doctor) checkAccess(ctx context.Context, i *store.Inspector) error {
	found, err := exposure.Look(ctx, i)
	if err != nil {
		return err
	}
	for _, p := range found.Places {
		if p.Kind != store.Profiles {
			d.judgePlace(p)
			continue
		}
		for _, r := range p.Reaches {
			d.judgeRead(p, r)
			d.judgeWrite(p, r)
		}
	}
	if len(found.Places) > 0 && !slices.ContainsFunc(found.Places, isView) {
		d.ok(viewsCheck, "none that reads with its owner's rights")
	}
	d.judgeTriggers(found)
	return nil
}

const viewsCheck = "views of the keys"

func isView(p exposure.Place) bool {
	return p.Kind == exposure.View || p.Kind == exposure.MaterializedView
}

func (d *Doctor) judgeRead(p exposure.Place, r exposure.Reach) {
	check := "keys, read by " + r.Role
	c := cureOf(p, r.Role, "SELECT")
	c.do += nameColumns
	switch r.Read {
	case exposure.Everyone:
		d.fail(check, c, "everybody with the role %s can read the keys of all users", r.Role)
	case exposure.Unclear:
		d.warn(check, c, "a policy that is too involved to be judged here lets %s read rows with their keys", r.Role)
	case exposure.OwnRow:
		d.warn(check, c, "a user can read the own key by the Data API, and so can third-party OAuth clients and sessions without a second factor, which get no key in their tokens")
	default:
		d.ok(check, "nobody's")
	}
}

func (d *Doctor) judgeWrite(p exposure.Place, r exposure.Reach) {
	can, privileges := writesOf(r)
	check := "keys, written by " + r.Role
	if len(can) == 0 {
		d.ok(check, "nobody's")
		return
	}
	whose := "their own"
	if worst := max(r.Insert, r.Update, r.Move); worst > exposure.OwnRow {
		whose = "other users'"
	}
	d.fail(check, cureOf(p, r.Role, privileges...), "users with the role %s can plant a key in %s profile: %s", r.Role, whose, strings.Join(can, "; "))
}

// writesOf says how a key gets into a profile that way, and by which privileges.
func writesOf(r exposure.Reach) (can, privileges []string) {
	for _, w := range []struct {
		privilege, text string
		by              exposure.Level
	}{
		{"INSERT", "insert a profile with a key", r.Insert},
		{"UPDATE", "change a key", r.Update},
		{"UPDATE", "give a profile with its key to another user, by changing its id", r.Move},
	} {
		if w.by != exposure.Nobody {
			can, privileges = append(can, w.text), append(privileges, w.privilege)
		}
	}
	return can, slices.Compact(privileges)
}

func cureOf(p exposure.Place, role string, privileges ...string) cure {
	sql := p.Cure(role, privileges...)
	if len(sql) == 0 { // the role is a superuser, owns the table, or has a role like pg_read_all_data
		return cure{do: fmt.Sprintf("take from %s the membership or attribute that lets it at %s", role, p.Name)}
	}
	return runSQL(strings.Join(sql, "\n"))
}

// judgePlace makes one finding of a relation beside the product's table: who reads and who writes there.
func (d *Doctor) judgePlace(p exposure.Place) {
	worst := OK
	var does, sql []string
	for _, r := range p.Reaches {
		var privileges []string
		if r.Read != exposure.Nobody {
			does, privileges = append(does, r.Role+" can read "+whose(r.Read)), []string{"SELECT"}
			worst = worse(worst, r.Read == exposure.Everyone)
		}
		if can, by := writesOf(r); len(can) > 0 {
			does, privileges = append(does, r.Role+" can "+strings.Join(can, ", ")), append(privileges, by...)
			worst = Failure
		}
		for _, line := range p.Cure(r.Role, privileges...) {
			if !slices.Contains(sql, line) { // what public has, both roles have
				sql = append(sql, line)
			}
		}
	}
	c := runSQL(strings.Join(sql, "\n"))
	c.do += nameColumns + leaveOut(p)
	switch worst {
	case OK:
		d.ok(checkOf(p), "%s can't be read or written by anon or authenticated", p.Name)
	case Warning:
		d.warn(checkOf(p), c, "%s: %s", p.Describe(), strings.Join(does, "; "))
	default:
		d.fail(checkOf(p), c, "%s: %s", p.Describe(), strings.Join(does, "; "))
	}
}

func worse(known Level, everyone bool) Level {
	if everyone || known == Failure {
		return Failure
	}
	return Warning
}

func whose(l exposure.Level) string {
	switch l {
	case exposure.Everyone:
		return "the keys of all users"
	case exposure.OwnRow:
		return "the own key"
	}
	return "rows that may hold keys, by rules that are too involved to be judged here"
}

func checkOf(p exposure.Place) string {
	switch p.Kind {
	case store.Child, store.Parent:
		return "partitions and parents"
	case store.Copy:
		return "copies of the keys"
	}
	return viewsCheck
}

// leaveOut returns the better cure of a copy.
func leaveOut(p exposure.Place) string {
	if p.Kind != store.Copy {
		return ""
	}
	return "; better, leave the key out where the row is copied, as in to_jsonb(new) - 'api_key', and delete the copies that are there"
}
