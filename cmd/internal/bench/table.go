package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// contenderNames are in the order of the table, with what each is.
var contenderNames = []struct{ name, what string }{
	{"coderhook", "**coderhook**"},
	{"floor", "the floor: net/http, HMAC, one `SELECT`, one splice"},
	{"plpgsql", "a function in the database, called as Supabase Auth does"},
	{"deno", "an Edge Function's code on Deno"},
}

// row is one server at one number of connections.
type row struct {
	Server, What  string
	Conns         int
	Mints         float64 // in a second
	OfFloor       float64
	P50, P99      time.Duration
	P999, Longest time.Duration
}

// rows leaves out what was not measured.
func (r *results) rows() (rows []row) {
	for _, conns := range connections {
		floor := r.median(mintName("floor", conns), unitMints)
		for _, c := range contenderNames {
			name := mintName(c.name, conns)
			took := func(unit string) time.Duration { return time.Duration(r.median(name, unit)) }
			if mints := r.median(name, unitMints); mints > 0 {
				rows = append(rows, row{
					c.name, c.what, conns, mints, mints / floor, took(unitP50), took(unitP99), took(unitP999), time.Duration(r.longest(name)),
				})
			}
		}
	}
	return rows
}

// table is the results in Markdown.
func (r *results) table() string {
	var t strings.Builder
	t.WriteString("| connections | | mints/s | of the floor | p50 | p99 | p99.9 | max |\n")
	t.WriteString("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, row := range r.rows() {
		fmt.Fprintf(&t, "| %d | %s | %s | %.2f | %s | %s | %s | %s |\n", row.Conns, row.What, thousands(row.Mints), row.OfFloor,
			millis(row.P50), millis(row.P99), millis(row.P999), millis(row.Longest))
	}
	t.WriteString("\n" + r.rest() + "\n\n" + r.caption() + "\n")
	return t.String()
}

// summary is the results in a line.
func (r *results) summary() string {
	one, many := r.of("coderhook", connections[0]), r.of("coderhook", connections[len(connections)-1])
	return fmt.Sprintf("With %d connections %s mints a second, %.2f of what a bare Go server does that verifies and looks up, and nothing else; "+
		"half of them in %s, 99 of a hundred in %s. With one connection %s, half of them in %s.\n",
		many.Conns, thousands(many.Mints), many.OfFloor, millis(many.P50), millis(many.P99), thousands(one.Mints), millis(one.P50))
}

// of is one row of the table.
func (r *results) of(server string, conns int) row {
	for _, row := range r.rows() {
		if row.Server == server && row.Conns == conns {
			return row
		}
	}
	return row{}
}

// rest is what coderhook alone is measured for.
func (r *results) rest() string {
	parts := []string{fmt.Sprintf("From start to ready: %s.", millis(time.Duration(r.median(startName, unitTime))))}
	if size := r.median(memoryName, unitSize); size > 0 {
		parts = append(parts, fmt.Sprintf("Memory after %s mints: %.0f MiB.", thousands(r.median(memoryName, unitCount)), size/(1<<20)))
	}
	parts = append(parts, fmt.Sprintf("The handler without SQL and network: %.1f µs, %.0f allocations.",
		r.median(handlerName, unitTime)/1e3, r.median(handlerName, unitAllocs)))
	return strings.Join(parts, " ")
}

func (r *results) caption() string {
	turns := len(r.samples[sample{mintName("coderhook", connections[0]), unitMints}])
	return fmt.Sprintf("%s; %s; medians of %d turns, and the longest answer of all.", r.date, r.machine, turns)
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.*f ms", max(0, 3-len(fmt.Sprint(d.Milliseconds()))), d.Seconds()*1e3)
}

// thousands writes 12345.6 as 12,346.
func thousands(value float64) string {
	digits := []byte(fmt.Sprintf("%.0f", value))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = slices.Insert(digits, i, ',')
	}
	return string(digits)
}
