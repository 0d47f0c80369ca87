package doctor

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"coderhook/store"
)

// checkTable finds out whether the server can work with the product's table.
func (d *Doctor) checkTable(ctx context.Context, i *store.Inspector) error {
	shape, err := i.Shape(ctx)
	if err != nil {
		return err
	}
	triggers, err := i.Triggers(ctx)
	if err != nil {
		return err
	}
	known := d.Count(Failure) + d.Count(Warning)
	if d.checkColumns(i, shape) {
		d.checkRights(i, shape)
		d.checkRequired(i, shape, len(triggers) > 0)
		d.checkForeignKey(i, shape)
	}
	if d.Count(Failure)+d.Count(Warning) == known {
		d.ok("profiles table", "%s (%s, %s) can be read and written by the server", i.Table(), i.ID(), i.Key())
	}
	return nil
}

// checkColumns reports whether it makes sense to look further.
func (d *Doctor) checkColumns(i *store.Inspector, t store.Table) bool {
	const check = "profiles table"
	if err := i.Refusal(t); err != nil {
		what, do, _ := strings.Cut(err.Error(), "; ")
		d.fail(check, cure{do: do}, "%s (skipped because of this: who can reach the keys)", what)
		return false
	}
	switch {
	case !t.Exists:
		d.fail(check, cure{do: "name the right table in PROFILES_TABLE, or " + migrateCure.do}, "there is no %s (skipped because of this: who can reach the keys)", i.Table())
	case t.IDType != "uuid":
		d.fail(check, cure{do: "name the column with the user's id from auth.users in PROFILES_ID_COLUMN"}, "column %s is %s, not the uuid of the user", i.ID(), orMissing(t.IDType))
	case t.KeyType == "":
		d.fail(check, migrateCure, "there is no column %s (skipped because of this: who can reach the keys)", i.Key())
	case !holdsKey(t.KeyType):
		d.fail(check, runSQL(fmt.Sprintf("alter table %s alter column %s type text;", i.Table(), i.Key())), "column %s is %s, in which a key of 33 characters does not fit", i.Key(), t.KeyType)
	default:
		return true
	}
	return false
}

func orMissing(typeName string) string {
	if typeName == "" {
		return "missing"
	}
	return typeName
}

var limitedText = regexp.MustCompile(`^(?:character varying|character)\((\d+)\)$`)

// holdsKey reports whether a type gives back a key as it came.
func holdsKey(typeName string) bool { return holds(typeName, 33) }

func holds(typeName string, characters int) bool {
	if m := limitedText.FindStringSubmatch(typeName); m != nil {
		limit, _ := strconv.Atoi(m[1]) // digits only
		return limit >= characters && strings.HasPrefix(typeName, "character varying")
	}
	return typeName == "text" || typeName == "character varying"
}

func (d *Doctor) checkRights(i *store.Inspector, t store.Table) {
	const check = "profiles table"
	switch {
	case !t.IDUnique && t.Partitioned():
		d.fail(check, cure{do: fmt.Sprintf("partition %s by %s, as in: partition by hash (%s); only then it can be unique", i.Table(), i.ID(), i.ID())}, "column %s is not unique: a user could have several keys", i.ID())
	case !t.IDUnique:
		d.fail(check, runSQL(fmt.Sprintf("create unique index on %s (%s);", i.Table(), i.ID())), "column %s is not unique: a user could have several keys", i.ID())
	case d.ledger.Table && !d.ledger.Usable && !d.ledger.Member: // a role that is not meant to be used, as was said
	case !t.Rights:
		d.fail(check, migrateCure, "role %s may not read and write %s and %s of %s", d.server.Role, i.ID(), i.Key(), i.Table())
	case t.RowSecurity && !t.Policies:
		d.fail(check, migrateCure, "row level security hides the rows from role %s: one of the policies coderhook_select, coderhook_insert, coderhook_update is missing", d.server.Role)
	}
}

// checkRequired looks for columns without which no profile can be inserted: where no trigger makes it, the server has
// to, and knows only two of its columns.
func (d *Doctor) checkRequired(i *store.Inspector, t store.Table, made bool) {
	if len(t.Required) == 0 || made {
		return
	}
	var sql []string
	for _, column := range t.Required {
		sql = append(sql, fmt.Sprintf("alter table %s alter column %s drop not null;", i.Table(), column))
	}
	c := runSQL(strings.Join(sql, "\n"))
	c.do += ", or give the columns a default, or make the profile by a trigger on auth.users"
	d.fail("profiles table", c, "for a user without a profile the server inserts one, and can't, as these columns may not be null: %s", strings.Join(t.Required, ", "))
}

func (d *Doctor) checkForeignKey(i *store.Inspector, t store.Table) {
	add := fmt.Sprintf("add foreign key (%s) references auth.users (id) on delete cascade not valid;", i.ID())
	if t.Partitioned() { // Postgres takes none there that is not valid
		add = strings.Replace(add, " not valid", "", 1)
	}
	switch {
	case !d.server.IsSupabase || t.ForeignKey != "" && t.Cascades:
	case t.ForeignKey == "":
		d.warn("foreign key", runSQL(fmt.Sprintf("alter table %s %s", i.Table(), add)), "%s does not refer to auth.users: the keys of deleted users stay", i.Table())
	default:
		d.warn("foreign key", runSQL(fmt.Sprintf("alter table %s drop constraint %s,\n  %s", i.Table(), t.ForeignKey, add)),
			"%s does not cascade: a user with a profile can't be deleted, or the key stays", t.ForeignKey)
	}
}

// checkTriggers only tells: the server waits until the transaction of such a trigger has ended.
func (d *Doctor) checkTriggers(ctx context.Context, i *store.Inspector) error {
	triggers, err := i.Triggers(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, t := range triggers {
		names = append(names, t.Name+" ("+t.Function+")")
	}
	if len(names) == 0 {
		d.ok("triggers on auth.users", "none of them names the profiles table; the server inserts missing profiles")
		return nil
	}
	d.ok("triggers on auth.users", "%s: the server copes with it", strings.Join(names, ", "))
	return nil
}
