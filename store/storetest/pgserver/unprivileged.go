//go:build unix

package pgserver

import (
	"errors"
	"os/user"
	"strconv"
)

// unprivileged returns the ids of a user without rights. It must have an entry
// in the user database, as PostgreSQL looks its own name up.
func unprivileged() (uid, gid int, err error) {
	for _, name := range []string{"nobody", "postgres"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(found.Uid)
		gid, gidErr := strconv.Atoi(found.Gid)
		if uidErr == nil && gidErr == nil && uid > 0 {
			return uid, gid, nil
		}
	}
	return 0, 0, errors.New("PostgreSQL does not run as root, and there is no user nobody or postgres to run it as")
}
