package pgserver

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

const hasSockets = true

// account is whom a server runs as.
type account struct {
	uid, gid  int  // 0 for our own
	namespace bool // as root: in a user namespace where we look like uid
}

// newAccount picks an account that PostgreSQL accepts. As root, a user namespace
// comes first: there files need no other owner, and our private directories stay
// readable. Containers often forbid namespaces; then it is another user.
func newAccount(program string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	uid, gid, err := unprivileged()
	if err != nil {
		return account{}, err
	}
	inside := account{uid: uid, gid: gid, namespace: true}
	outside := account{uid: uid, gid: gid}
	var faults []error
	for _, who := range []account{inside, outside} {
		cmd := exec.Command(program, "--version")
		cmd.Dir, cmd.SysProcAttr = "/", who.attributes()
		if err = cmd.Run(); err == nil {
			return who, nil
		}
		faults = append(faults, err)
	}
	return account{}, fmt.Errorf("cannot run it as somebody else than root: in a user namespace: %w; as uid %d: %w",
		faults[0], uid, faults[1])
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
