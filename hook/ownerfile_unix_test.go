//go:build unix

package hook

import (
	"os"
	"syscall"
	"testing"
)

func wantSameOwner(t *testing.T, before, after os.FileInfo) {
	t.Helper()
	was, is := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if was.Uid != is.Uid || was.Gid != is.Gid {
		t.Errorf("owner %d:%d, was %d:%d", is.Uid, is.Gid, was.Uid, was.Gid)
	}
}
