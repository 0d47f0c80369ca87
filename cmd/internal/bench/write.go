package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// README's table stands between these.
const (
	tableBegins = "<!-- written by: go run ./cmd/internal/bench -write -->\n"
	tableEnds   = "<!-- until here -->\n"
)

// write keeps the results in testdata/bench, and the table in README.
func (r *results) write(root string) error {
	plot, err := r.plot()
	if err != nil {
		return err
	}
	table := r.table()
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		return err
	}
	text, err := replaceTable(string(readme), table)
	if err != nil {
		return err
	}
	for file, content := range map[string]string{
		"testdata/bench/results.txt": r.text.String(),
		"testdata/bench/results.md":  table,
		"testdata/bench/results.svg": plot,
		"README.md":                  text,
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(root, file), []byte(content), 0o644))
	}
	return err
}

func replaceTable(readme, table string) (string, error) {
	before, rest, begun := strings.Cut(readme, tableBegins)
	_, after, ended := strings.Cut(rest, tableEnds)
	if !begun || !ended {
		return "", errors.New("README.md has no place for the table")
	}
	return before + tableBegins + table + tableEnds + after, nil
}
