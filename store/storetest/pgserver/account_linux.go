package pgserver

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
)

// What the platform has to offer.
const (
	hasSockets     = true
	diesWithParent = true
)

// account is whom a server runs as.
type account struct {
	uid, gid  int  // 0 for our own
	namespace bool // as root: in a user namespace where we look like uid
}

// newAccount picks the first account that can run program.
func newAccount(program string) (account, error) {
	accounts, err := accounts()
	if err != nil || os.Geteuid() != 0 {
		return account{}, err
	}
	faults := make([]error, 0, len(accounts))
	for _, who := range accounts {
		tried, err := start(who, io.Discard, "/", program, "--version")
		if err == nil {
			err = tried.ended(context.Background())
		}
		if err == nil {
			return who, nil
		}
		faults = append(faults, err)
	}
	return account{}, fmt.Errorf("cannot run it as anybody but root: in a user namespace: %w; as another user: %w", faults[0], faults[1])
}

// accounts returns whom PostgreSQL would run as. As root, a user namespace comes
// first: there files need no other owner, and private directories stay readable.
// Containers often forbid namespaces; then it is another user.
func accounts() ([]account, error) {
	if os.Geteuid() != 0 {
		return []account{{}}, nil
	}
	uid, gid, err := unprivileged()
	return []account{{uid: uid, gid: gid, namespace: true}, {uid: uid, gid: gid}}, err
}

// attributes let a child run as the account, die with us, and not get the
// terminal's Ctrl-C, which is ours to handle.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	switch {
	case a.namespace:
		attr.Cloneflags = syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: a.uid, HostID: 0, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: a.gid, HostID: 0, Size: 1}}
	case a.uid != 0:
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attr
}

// own gives a file of ours to the account.
func (a account) own(path string) error {
	if a.namespace || a.uid == 0 {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// freeBytes is how much a directory that we may write to has left.
func freeBytes(dir string) uint64 {
	const writable = 2
	var stat syscall.Statfs_t
	if syscall.Access(dir, writable) != nil || syscall.Statfs(dir, &stat) != nil {
		return 0
	}
	return stat.Bavail * uint64(stat.Bsize)
}
