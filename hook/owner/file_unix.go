//go:build unix

package owner

import (
	"os"
	"syscall"
)

// keepOwner gives the file the owner and group that another has.
func keepOwner(file *os.File, like os.FileInfo) error {
	stat, ok := like.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	own, err := file.Stat()
	if err != nil {
		return err
	}
	if mine, ok := own.Sys().(*syscall.Stat_t); ok && mine.Uid == stat.Uid && mine.Gid == stat.Gid {
		return nil
	}
	return file.Chown(int(stat.Uid), int(stat.Gid))
}
