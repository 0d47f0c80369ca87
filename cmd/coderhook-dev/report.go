package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"coderhook/cmd/internal/sender"
)

// report prints what a person wants to see. Keys are masked: what stays is their public id.
type report struct{ w io.Writer }

func (r *report) line(format string, args ...any) { fmt.Fprintf(r.w, format+"\n", args...) }

func (r *report) title(text string) {
	r.line("\n%s\n%s", text, strings.Repeat("─", len([]rune(text))))
}

// step times a step: the function that it returns prints its line.
func (r *report) step(name string) func(result string) {
	started := time.Now()
	return func(result string) { r.line("  %-12s %8s  %s", name, short(time.Since(started)), result) }
}

// progressEvery is how often a person wants to hear that it goes on.
const progressEvery = 3 * time.Second

// progress tells now and then how far a long step is: the function that it returns is told each part of it.
func (r *report) progress(name string) func(what string) {
	started := time.Now()
	last, n := started, 0
	return func(what string) {
		n++
		if time.Since(last) >= progressEvery {
			last = time.Now()
			r.line("  %-12s %8s  %d packages so far, now %s", name, short(time.Since(started)), n, what)
		}
	}
}

func (r *report) firstMint(email string, m mint) {
	r.title("A token mint for " + email)
	r.line("  Supabase Auth asks   POST /hooks/custom-access-token   (recorded from a real one, re-signed with the current time)")
	r.line("  coderhook answers    %d in %s\n", m.status, short(m.took))
	r.timeline(m)
	r.line("\n  claims before")
	r.line("%s", indent(m.before))
	r.line("  claims after: the same, but for the lines with +")
	r.line("%s", difference(indent(m.before), indent(m.after)))
}

// timeline shows where the time went.
func (r *report) timeline(m mint) {
	r.line("  %8s  SQL     look-up of profile and ledger, one round trip", short(millis(m.log.LookupMS)))
	for _, c := range m.calls {
		r.line("  %8s  Coder   %-6s %s → %d", short(c.took), c.method, c.path, c.status)
	}
	if m.log.ProvisionMS > 0 {
		r.line("  %8s  all of the provisioning: lease, Coder, ledger", short(millis(m.log.ProvisionMS-m.log.LookupMS)))
	}
}

func (r *report) secondMint(m mint) {
	r.title("The same user's next mint")
	with := "with the same key"
	if m.gave() == ready {
		with = "without the key as before"
	}
	r.line("  coderhook answers    %d in %s, %s; calls to Coder: %d\n", m.status, short(m.took), with, len(m.calls))
	r.timeline(m)
}

func millis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func short(d time.Duration) string {
	if d >= time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func indent(object json.RawMessage) string {
	var text bytes.Buffer
	if err := json.Indent(&text, sender.Mask(object), "    ", "  "); err != nil {
		return string(sender.Mask(object))
	}
	return "    " + text.String()
}

// difference marks the lines of after that are not in before. Nothing is ever taken away
// but an old key, so this is all there is to see.
func difference(before, after string) string {
	old := make(map[string]bool)
	for line := range strings.Lines(before) {
		old[strings.TrimRight(line, ",\n")] = true
	}
	var marked strings.Builder
	for line := range strings.Lines(after) {
		if !old[strings.TrimRight(line, ",\n")] {
			line = "  + " + strings.TrimPrefix(line, "    ")
		}
		marked.WriteString(line)
	}
	return marked.String()
}
