package exposure

import (
	"regexp"
	"slices"
	"strings"

	"coderhook/store"
)

// Trigger is what a trigger on a table with keys may do.
type Trigger struct {
	store.RowTrigger
	Unread  bool     // it is in a language that is not understood here
	Raises  bool     // it can refuse the server's write
	Changes bool     // it can change the key, or keep the old one
	Refused bool     // it calls functions of the schema auth, which the server's role may not use
	PassOn  bool     // it hands the key to something that is not known here
	Copies  []string // tables, as the source names them, that it writes the key to
	Perhaps []string // those that it may write the key to
}

// Harmless reports whether there is nothing to be said of it.
func (t Trigger) Harmless() bool {
	return !t.Unread && !t.Raises && !t.Changes && !t.Refused && !t.PassOn && len(t.Copies)+len(t.Perhaps) == 0
}

// known are functions in C that touch no more than the column they are told.
var known = []string{"moddatetime", "suppress_redundant_updates_trigger", "tsvector_update_trigger", "tsvector_update_trigger_column"}

// judgeTrigger reads the function's source, for a table with keys in columns. Nobody can tell in general what it
// does: it may say more than the truth.
func judgeTrigger(t store.RowTrigger, columns []string) Trigger {
	found := Trigger{RowTrigger: t}
	if t.Language != "plpgsql" {
		_, name, _ := strings.Cut(t.Function, ".")
		found.Unread = !slices.Contains(known, name)
		return found
	}
	s, key := source(t.Source), alternatives(columns)
	found.Refused = t.Fires && !t.Definer && !t.UsesAuth && authCall.MatchString(s)
	found.Raises = t.Fires && raise.MatchString(s)
	found.Changes = t.Fires && t.Before && changes(s, key)
	if handles(s, t, key) {
		found.destinations(s, key)
	}
	return found
}

var (
	comment  = regexp.MustCompile(`(?s)'[^']*'|--[^\n]*|/\*.*?\*/`) // or text, in which there is none
	literal  = regexp.MustCompile(`'[^']*'`)
	parts    = regexp.MustCompile(`"[^"]*"|[^"]+`)
	authCall = regexp.MustCompile(`\bauth\s*\.\s*\w+\s*\(`)
	raise    = regexp.MustCompile(`\braise\s*(?:exception\b|sqlstate\b|using\b|'|;)|\bassert\b`)
	assigned = regexp.MustCompile(`\bnew\s*:=|\breturn\s+null\b`)
	oldRow   = regexp.MustCompile(`\breturn\s+old\b`)
	// guard uses the row without handing it on.
	guard = regexp.MustCompile(`\breturn\s+(?:new|old)\b|\b(?:new|old)(?:\.\*)?\s+is\s+(?:not\s+)?(?:distinct\s+from\s+(?:new|old)(?:\.\*)?|null)`)
	row   = regexp.MustCompile(`\b(?:new|old)\b\s*(?:\.\s*\*|[^.\s]|\s[^.]|$)`)
)

// source is in lower case, as Postgres reads names without quotes, and without comments.
func source(text string) string {
	text = comment.ReplaceAllStringFunc(text, func(part string) string {
		if strings.HasPrefix(part, "'") {
			return part
		}
		return " "
	})
	return parts.ReplaceAllStringFunc(text, func(part string) string {
		if strings.HasPrefix(part, `"`) {
			return part
		}
		return strings.ToLower(part)
	})
}

// alternatives matches each of the columns, which are as SQL writes them.
func alternatives(columns []string) string {
	var quoted []string
	for _, c := range columns {
		quoted = append(quoted, regexp.QuoteMeta(strings.Trim(c, `"`)))
	}
	return "(?:" + strings.Join(quoted, "|") + ")"
}

// of matches the key in one of the rows that a trigger works on.
func of(rows, key string) string {
	return `\b(?:` + rows + `)\s*\.\s*"?` + key + `(?:"|\b)`
}

// changes reports whether a trigger before the write can have another key written.
func changes(s, key string) bool {
	mine := of("new", key)
	return regexp.MustCompile(mine+`\s*:?=[^=]|\binto\s+(?:strict\s+)?`+mine).MatchString(s) ||
		assigned.MatchString(s) || oldRow.MatchString(s) && !strings.Contains(s, "'delete'")
}

// handles reports whether the key, or the row with it, is used for more than to be compared and returned.
func handles(s string, t store.RowTrigger, key string) bool {
	return carries(s, key) || reads(s, t)
}

// carries is the same for a part of the function.
func carries(s, key string) bool {
	without := regexp.MustCompile(`\b(?:to_jsonb?|row_to_json|hstore)\s*\(\s*(?:new|old)(?:\.\*)?\s*\)(?:\s*::\s*jsonb)?\s*-\s*'` + key + `'`)
	s = literal.ReplaceAllString(without.ReplaceAllString(s, " "), "''")
	s = guard.ReplaceAllString(s, " ")
	either := of("new|old", key)
	compared := regexp.MustCompile(either + `\s*(?:(?:is\s+(?:not\s+)?distinct\s+from|<>|!=|:?=)\s*` + either + `|is\s+(?:not\s+)?null)|` + of("new", key) + `\s*:=`)
	return row.MatchString(s) || regexp.MustCompile(either).MatchString(compared.ReplaceAllString(s, " "))
}

// reads reports whether the function looks for rows of the table itself, or of those that were just written.
func reads(s string, t store.RowTrigger) bool {
	_, table, _ := strings.Cut(t.Table, ".")
	for _, name := range append([]string{table}, t.Transitions...) {
		if regexp.MustCompile(`\b(?:from|join)\s+(?:only\s+)?(?:"?\w+"?\s*\.\s*)?"?` + regexp.QuoteMeta(strings.Trim(name, `"`)) + `(?:"|\b)`).MatchString(s) {
			return true
		}
	}
	return false
}

const named = `((?:"[^"]+"|\w+)(?:\s*\.\s*(?:"[^"]+"|\w+))?)`

var (
	writes = regexp.MustCompile(`\b(?:insert\s+into|merge\s+into|update)\s+(?:only\s+)?` + named)
	hands  = regexp.MustCompile(`\bexecute\b|\bperform\b|\bcall\b|\bpg_notify\s*\(|\bhttp_\w+\s*\(|\bselect\s+[\w."]+\s*\(`)
)

// destinations are the tables that are written: with the row or key in the same statement, or perhaps. What else
// is given the row is not known.
func (t *Trigger) destinations(s, key string) {
	for _, at := range writes.FindAllStringSubmatchIndex(s, -1) {
		name := s[at[2]:at[3]]
		if name == "set" { // of: on conflict do update set
			continue
		}
		statement, _, _ := strings.Cut(s[at[0]:], ";")
		if carries(statement, key) {
			t.Copies = append(t.Copies, name)
		} else {
			t.Perhaps = append(t.Perhaps, name)
		}
	}
	t.PassOn = hands.MatchString(s) || len(t.Copies)+len(t.Perhaps) == 0
}

// tableName takes a name of a source apart.
func tableName(name string) store.TableName {
	schema, table, qualified := strings.Cut(name, ".")
	if !qualified {
		schema, table = "", name
	}
	return store.TableName{Schema: strings.Trim(strings.TrimSpace(schema), `"`), Table: strings.Trim(strings.TrimSpace(table), `"`)}
}
