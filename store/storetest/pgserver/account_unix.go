//go:build unix && !linux

package pgserver

import (
	"os"
	"syscall"
)

// What the platform has to offer.
const (
	hasSockets     = true
	diesWithParent = false
)

// account is whom a server runs as.
type account struct {
	uid, gid int // 0 for our own
}

// newAccount picks an account that PostgreSQL accepts.
func newAccount(string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	uid, gid, err := unprivileged()
	return account{uid: uid, gid: gid}, err
}

// attributes let a child run as the account, and not get the terminal's Ctrl-C,
// which is ours to handle.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.uid != 0 {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attr
}

// own gives a file of ours to the account.
func (a account) own(path string) error {
	if a.uid == 0 {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// freeBytes says that no directory is known to be in memory.
func freeBytes(string) uint64 { return 0 }
