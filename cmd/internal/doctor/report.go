package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// Level says how bad a finding is.
type Level string

const (
	OK      Level = "ok"
	Warning Level = "warning"
	Failure Level = "failure"
)

// Finding is the result of one check. It holds no secret.
type Finding struct {
	Check  string `json:"check"`
	Result Level  `json:"result"`
	Found  string `json:"found"`
	Cure   string `json:"cure,omitempty"`
	SQL    string `json:"sql,omitempty"` // part of the cure, for the owner of the table
}

// cure says what mends a finding: what to do, and SQL where that is a part of it.
type cure struct{ do, sql string }

// runSQL returns a cure for the owner of the table, which is the role postgres in a Supabase project.
func runSQL(sql string) cure {
	return cure{"run as the table's owner (role postgres in Supabase)", sql}
}

// Report is what was found.
type Report struct{ Findings []Finding }

func (r *Report) ok(check, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Check: check, Result: OK, Found: fmt.Sprintf(format, args...)})
}

func (r *Report) warn(check string, c cure, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{check, Warning, fmt.Sprintf(format, args...), c.do, c.sql})
}

func (r *Report) fail(check string, c cure, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{check, Failure, fmt.Sprintf(format, args...), c.do, c.sql})
}

// Count returns how many findings are that bad.
func (r *Report) Count(l Level) (n int) {
	for _, f := range r.Findings {
		if f.Result == l {
			n++
		}
	}
	return n
}

// Print writes the findings for people, or as JSON.
func (r *Report) Print(w io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string]any{
			"failures": r.Count(Failure), "warnings": r.Count(Warning), "checks": r.Findings,
		})
	}
	file, ok := w.(*os.File)
	_, err := io.WriteString(w, r.text(ok && isatty.IsTerminal(file.Fd())))
	return err
}

// text returns the findings as people read them.
func (r *Report) text(colour bool) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s: %s\n", mark(f.Result, colour), f.Check, f.Found)
		if f.Cure != "" {
			fmt.Fprintf(&b, "         cure: %s\n", f.Cure)
		}
		for line := range strings.Lines(f.SQL) {
			fmt.Fprintf(&b, "           %s\n", strings.TrimRight(line, "\n"))
		}
	}
	fmt.Fprintf(&b, "\nfailures: %d, warnings: %d, ok: %d\n", r.Count(Failure), r.Count(Warning), r.Count(OK))
	return b.String()
}

func mark(l Level, colour bool) string {
	padded := fmt.Sprintf("%-8s", l)
	if !colour {
		return padded
	}
	return map[Level]string{OK: "\x1b[32m", Warning: "\x1b[33m", Failure: "\x1b[31m"}[l] + padded + "\x1b[0m"
}
