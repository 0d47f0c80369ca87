package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
)

// folders are where distributions and installers put PostgreSQL's programs,
// when they are not on the PATH.
var folders = []string{
	"/usr/lib/postgresql/*/bin",                               // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                        // Fedora, RHEL: postgresql.org's packages
	"/usr/libexec/postgresql*",                                // Alpine
	"/usr/lib/postgresql*/bin",                                // Alpine, openSUSE
	"/usr/bin",                                                // Fedora, RHEL, Arch
	"/opt/homebrew/opt/postgresql*/bin",                       // Homebrew, Apple silicon
	"/usr/local/opt/postgresql*/bin",                          // Homebrew, Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",          // Homebrew, Linux
	"/Applications/Postgres.app/Contents/Versions/[0-9]*/bin", // Postgres.app
	"/opt/local/lib/postgresql*/bin",                          // MacPorts
	"/usr/local/pgsql/bin",                                    // from source
	`C:\Program Files\PostgreSQL\*\bin`,
}

// ErrNotInstalled says that there is no PostgreSQL, and none could be downloaded.
var ErrNotInstalled = errors.New("no PostgreSQL found")

const howToInstall = `install it:
  Debian, Ubuntu  apt-get install postgresql
  Fedora, RHEL    dnf install postgresql-server
  Arch            pacman -S postgresql
  Alpine          apk add postgresql
  macOS           brew install postgresql@17
  Windows         winget install PostgreSQL.PostgreSQL.17`

// binDir returns the folder with initdb and postgres to use.
func binDir(ctx context.Context, o Options) (string, error) {
	if o.BinDir != "" {
		if !complete(o.BinDir) {
			return "", fmt.Errorf("%w: initdb or postgres is missing in %s", ErrNotInstalled, o.BinDir)
		}
		return o.BinDir, nil
	}
	if dir, ok := installed(); ok {
		return dir, nil
	}
	dir, err := download(ctx, o)
	if err != nil {
		return "", missing(err)
	}
	return dir, nil
}

// missing says what to do when a download has failed as well.
func missing(err error) error {
	return fmt.Errorf("%w, and no download: %w\n%s", ErrNotInstalled, err, howToInstall)
}

// installed looks on the PATH, then for the newest version in the usual folders.
func installed() (string, bool) {
	if program, err := exec.LookPath("postgres"); err == nil {
		// Often a link into a folder that has initdb as well.
		if program, err = filepath.EvalSymlinks(program); err == nil && complete(filepath.Dir(program)) {
			return filepath.Dir(program), true
		}
	}
	return newest(folders)
}

// newest returns the complete folder with the highest version in its name.
func newest(patterns []string) (string, bool) {
	var found []string
	for _, pattern := range patterns {
		dirs, _ := filepath.Glob(pattern) // the patterns are well-formed
		found = append(found, dirs...)
	}
	found = slices.DeleteFunc(found, func(dir string) bool { return !complete(dir) })
	if len(found) == 0 {
		return "", false
	}
	return slices.MaxFunc(found, func(a, b string) int { return slices.Compare(version(a), version(b)) }), true
}

var numbers = regexp.MustCompile(`[0-9]+`)

// version returns the numbers in a path: [15] for /usr/lib/postgresql/15/bin.
func version(path string) []int {
	var v []int
	for _, digits := range numbers.FindAllString(path, -1) {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return nil
		}
		v = append(v, n)
	}
	return v
}

// complete reports whether dir has the programs that a server needs.
func complete(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if runtime.GOOS == "windows" {
			name += ".exe"
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}
