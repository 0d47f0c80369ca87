package config

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every new connection waits for the file: what is put in its place must neither block nor fill the memory.
func TestWhatIsNotAURLsFileIsNotRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "url")
	read := rereadURL(path)
	for what, put := range map[string]func() error{
		"nothing":  func() error { return nil },
		"a folder": func() error { return os.Mkdir(path, 0o700) },
		"huge": func() error {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
			return os.Truncate(path, 4<<30)
		},
		"a pipe": func() error {
			if _, err := exec.LookPath("mkfifo"); err != nil {
				return nil
			}
			return exec.CommandContext(t.Context(), "mkfifo", path).Run()
		},
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if got, err := read(); err == nil || got != "" || strings.Contains(err.Error(), path) {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte(" postgres://u:p@h/d \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := read(); err != nil || got != "postgres://u:p@h/d" {
		t.Errorf("%q, %v", got, err)
	}
}
