package pgserver

import "syscall"

// What the platform has to offer.
const (
	hasSockets     = false
	diesWithParent = false
)

// account is whom a server runs as: here always ourselves.
type account struct{}

func newAccount(string) (account, error)         { return account{}, nil }
func (account) attributes() *syscall.SysProcAttr { return nil }
func (account) own(string) error                 { return nil }

// freeBytes says that no directory is known to be in memory.
func freeBytes(string) uint64 { return 0 }
