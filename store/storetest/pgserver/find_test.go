package pgserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeInstall makes a folder with the named programs.
func fakeInstall(t *testing.T, dir string, programs ...string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range programs {
		if err := os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestNewest(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	fakeInstall(t, root+"/lib/postgresql/9.6/bin", "initdb", "postgres")
	fakeInstall(t, root+"/lib/postgresql/15/bin", "initdb", "postgres")
	fakeInstall(t, root+"/lib/postgresql/18/bin", "psql") // a client only
	fakeInstall(t, root+"/lib/postgresql/19/bin", "postgres")
	want := fakeInstall(t, root+"/lib/postgresql/17/bin", "initdb", "postgres")
	if got, ok := newest([]string{root + "/none*", root + "/lib/postgresql/*/bin"}); got != want || !ok {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, ok := newest([]string{root + "/lib/postgresql/18/bin"}); ok {
		t.Errorf("found %s", got)
	}
}

func TestAProgramOnThePathComesFirst(t *testing.T) {
	root := t.TempDir()
	want := fakeInstall(t, root+"/opt/pg/bin", "initdb", "postgres")
	path := fakeInstall(t, root+"/bin")
	if err := os.Symlink(want+"/postgres", path+"/postgres"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path)
	if got, ok := installed(); got != want || !ok {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNothingInstalledSaysWhatToInstall(t *testing.T) {
	t.Parallel()
	err := missing(errors.New("no network"))
	if !errors.Is(err, ErrNotInstalled) {
		t.Errorf("%v is not ErrNotInstalled", err)
	}
	for _, text := range []string{"no network", "apt-get", "dnf", "pacman", "apk", "brew", "winget"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("no %q in: %v", text, err)
		}
	}
	if _, err := Start(t.Context(), Options{BinDir: t.TempDir()}); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("got %v", err)
	}
}
