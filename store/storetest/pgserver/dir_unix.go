//go:build unix

package pgserver

import (
	"os"
	"path/filepath"
	"syscall"
)

// hold marks dir as in use for as long as this program runs, however it ends.
// The lock is taken before the file gets its name, so that whoever finds the
// file can tell.
func hold(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "new-lock-")
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, "lock"))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes what killed programs of ours left in parent.
func sweep(parent string) {
	locks, _ := filepath.Glob(filepath.Join(parent, dirPrefix+"*", "lock")) // the pattern is well-formed
	for _, lock := range locks {
		info, err := os.Lstat(lock)
		if err != nil || !info.Mode().IsRegular() || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
			continue
		}
		f, err := os.Open(lock)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(lock)) // the next start tries again
		}
		f.Close()
	}
}
