package process_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coderhook/cmd/internal/process"
)

// What is compiled is told, and what can't be is the error.
func TestBuildHere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module some/program\n\ngo 1.26.0\n")
	write("main.go", "package main\n\nfunc main() {}\n")
	var told []string
	err := process.BuildHere(t.Context(), dir, ".", filepath.Join(dir, "program"), func(what string) { told = append(told, what) })
	if err != nil || !slices.Contains(told, "some/program") {
		t.Errorf("told %q, error %v", told, err)
	}
	write("main.go", "package main\n\nfunc main() { nothing }\n")
	err = process.BuildHere(t.Context(), dir, ".", filepath.Join(dir, "program"), func(string) {})
	if err == nil || !strings.Contains(err.Error(), "undefined: nothing") {
		t.Errorf("got %v", err)
	}
}
