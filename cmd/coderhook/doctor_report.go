package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// level says how bad a finding is.
type level string

const (
	fine    level = "ok"
	warning level = "warning"
	failure level = "failure"
)

// finding is the result of one check. It holds no secret.
type finding struct {
	Check  string `json:"check"`
	Result level  `json:"result"`
	Found  string `json:"found"`
	Cure   string `json:"cure,omitempty"`
	SQL    string `json:"sql,omitempty"` // part of the cure, for the owner of the table
}

// cure is what mends a finding: what to do, and SQL where that is a part of it.
type cure struct{ do, sql string }

// runSQL is a cure for the owner of the table, which is the role postgres in a Supabase project.
func runSQL(sql string) cure {
	return cure{"run as the table's owner (role postgres in Supabase)", sql}
}

type report struct{ findings []finding }

func (r *report) ok(check, format string, args ...any) {
	r.findings = append(r.findings, finding{Check: check, Result: fine, Found: fmt.Sprintf(format, args...)})
}

func (r *report) warn(check string, c cure, format string, args ...any) {
	r.findings = append(r.findings, finding{check, warning, fmt.Sprintf(format, args...), c.do, c.sql})
}

func (r *report) fail(check string, c cure, format string, args ...any) {
	r.findings = append(r.findings, finding{check, failure, fmt.Sprintf(format, args...), c.do, c.sql})
}

func (r *report) count(l level) (n int) {
	for _, f := range r.findings {
		if f.Result == l {
			n++
		}
	}
	return n
}

func (r *report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string]any{
			"failures": r.count(failure), "warnings": r.count(warning), "checks": r.findings,
		})
	}
	file, ok := w.(*os.File)
	_, err := io.WriteString(w, r.text(ok && isatty.IsTerminal(file.Fd())))
	return err
}

// text is for people.
func (r *report) text(colour bool) string {
	var b strings.Builder
	for _, f := range r.findings {
		fmt.Fprintf(&b, "%s %s: %s\n", mark(f.Result, colour), f.Check, f.Found)
		if f.Cure != "" {
			fmt.Fprintf(&b, "         cure: %s\n", f.Cure)
		}
		for line := range strings.Lines(f.SQL) {
			fmt.Fprintf(&b, "           %s\n", strings.TrimRight(line, "\n"))
		}
	}
	fmt.Fprintf(&b, "\nfailures: %d, warnings: %d, ok: %d\n", r.count(failure), r.count(warning), r.count(fine))
	return b.String()
}

func mark(l level, colour bool) string {
	padded := fmt.Sprintf("%-8s", l)
	if !colour {
		return padded
	}
	return map[level]string{fine: "\x1b[32m", warning: "\x1b[33m", failure: "\x1b[31m"}[l] + padded + "\x1b[0m"
}
