package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// What the bench writes into texts stands between these.
const (
	writtenBegins = "<!-- written by: go run ./cmd/internal/bench -write -->\n"
	writtenEnds   = "<!-- until here -->\n"
)

// write keeps the results in testdata/bench, with the table in the README there, and the summary in the project's.
func (r *results) write(root string) error {
	plot, err := r.plot()
	if err != nil {
		return err
	}
	files := map[string]string{
		"testdata/bench/results.txt": r.text.String(),
		"testdata/bench/results.svg": plot,
	}
	for name, part := range r.texts() {
		old, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		if files[name], err = replaceWritten(string(old), part); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, content := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(root, name), []byte(content), 0o644))
	}
	return err
}

// texts are the files into which something is written, with what.
func (r *results) texts() map[string]string {
	return map[string]string{"README.md": r.summary(), "testdata/bench/README.md": r.table()}
}

func replaceWritten(text, part string) (string, error) {
	before, rest, begun := strings.Cut(text, writtenBegins)
	_, after, ended := strings.Cut(rest, writtenEnds)
	if !begun || !ended {
		return "", errors.New("there is no place for what was measured")
	}
	return before + writtenBegins + part + writtenEnds + after, nil
}
