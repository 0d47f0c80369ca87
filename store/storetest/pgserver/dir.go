package pgserver

import (
	"errors"
	"os"
)

const dirPrefix = "coderhook-pg-"

// directory is a private directory that goes when its program does: by remove,
// or else when the next program makes one.
type directory struct {
	path string
	lock *os.File
}

// makeDir makes a directory in parent, or where temporary files are at home. Its
// path leaves room for a socket's name: the limit is 104 bytes on macOS, and
// its TMPDIR takes half of that.
func makeDir(parent string) (directory, error) {
	if parent == "" {
		parent = tempParent()
	}
	if hasSockets && len(parent) > 70 {
		parent = "/tmp"
	}
	sweep(parent)
	path, err := os.MkdirTemp(parent, dirPrefix)
	if err != nil {
		return directory{}, err
	}
	lock, err := hold(path)
	if err != nil {
		return directory{}, errors.Join(err, os.RemoveAll(path))
	}
	return directory{path, lock}, nil
}

func (d directory) remove() error {
	return errors.Join(d.lock.Close(), os.RemoveAll(d.path))
}

// tempParent is TMPDIR if it is set, else memory where there is plenty: making a
// database is mostly writing files.
func tempParent() string {
	const memory, plenty = "/dev/shm", 1 << 30
	if os.Getenv("TMPDIR") == "" && freeBytes(memory) >= plenty {
		return memory
	}
	return os.TempDir()
}
