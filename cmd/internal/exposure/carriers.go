package exposure

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"coderhook/store"
)

// column is one of a relation.
type column struct {
	relation int64
	number   int16
}

// carrier is how keys come into a column.
type carrier struct {
	sure bool // there are keys in it, for whoever may read it
	open bool // on the way there is nothing that asks for the reader's own rights
}

// carriers are all columns with keys.
type carriers map[column]carrier

// add reports whether it is news.
func (c carriers) add(at column, found carrier) bool {
	known, ok := c[at]
	merged := carrier{known.sure || found.sure, known.open || found.open}
	c[at] = merged
	return !ok || merged != known
}

// follow adds the columns of views until nothing new is found.
func (c carriers) follow(views []store.View) {
	for news := true; news; {
		news = false
		for _, v := range views {
			for number, how := range c.shownBy(v) {
				news = c.add(column{v.OID, number}, how) || news
			}
		}
	}
}

// shownBy are a view's columns that are, or are made of, one that carries keys.
func (c carriers) shownBy(v store.View) map[int16]carrier {
	source, ok := c.source(v)
	if !ok {
		return nil
	}
	found := make(map[int16]carrier)
	targets := targetsOf(v.Tree)
	for n, number := range v.Numbers {
		at, known := targets[number]
		_, plain := c[at]
		if known && plain || v.Roomy[n] && (!known || at.number == 0) {
			found[number] = source
		}
	}
	return found
}

// asker matches what makes a view show different rows to different readers.
var asker = regexp.MustCompile(`(?i)\bauth\.\w+\(|\bcurrent_setting\(|\b(CURRENT|SESSION)_(USER|ROLE)\b`)

// source joins what the view reads. A materialized one is filled with its owner's rights, whatever it reads.
func (c carriers) source(v store.View) (source carrier, ok bool) {
	wholeRow := strings.Contains(v.Tree, ":varattno 0 ")
	single := len(slices.Compact(slices.Clone(v.From))) == 1
	for n, relation := range v.From {
		for at, how := range c {
			named := at.number == v.FromColumns[n]
			if at.relation != relation || !named && !wholeRow {
				continue
			}
			ok = true
			source.sure = source.sure || how.sure && (named || single)
			source.open = source.open || how.open
		}
	}
	source.open = v.Materialized || source.open && !v.Invoker
	source.sure = source.sure && (v.Materialized || !asker.MatchString(v.Definition))
	return source, ok
}

var target = regexp.MustCompile(`:resno (\d+) :resname .*:resorigtbl (\d+) :resorigcol (-?\d+) :resjunk`)

// targetsOf reads from a view's tree where its columns come from; {0, 0} is an expression. What is not there could
// not be read.
func targetsOf(tree string) map[int16]column {
	found := make(map[int16]column)
	for _, entry := range entries(tree) {
		m := target.FindStringSubmatch(entry)
		if m == nil {
			continue
		}
		number, _ := strconv.ParseInt(m[1], 10, 16)
		relation, _ := strconv.ParseInt(m[2], 10, 64)
		origin, _ := strconv.ParseInt(m[3], 10, 16)
		found[int16(number)] = column{relation, int16(origin)}
	}
	return found
}

// entries are the outermost query's targets, each without what is nested in it: ({QUERY … :targetList ({TARGETENTRY …} …) …}).
func entries(tree string) []string {
	const ofQuery = 2
	var all []string
	var entry strings.Builder
	depth := 0
	for at := 0; at < len(tree); at++ {
		switch c := tree[at]; {
		case c == '\\': // what follows belongs to a name
			at++
		case c == '{':
			if depth++; depth == ofQuery {
				entry.Reset()
			}
		case c == '}':
			if depth == ofQuery && strings.HasPrefix(entry.String(), "TARGETENTRY ") {
				all = append(all, entry.String())
			}
			depth--
		case depth == ofQuery:
			entry.WriteByte(c)
		}
	}
	return all
}
