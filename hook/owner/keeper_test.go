package owner

import (
	"fmt"
	"testing"
)

// A file that is mounted by itself can't be replaced, which shows only at the end: one token is
// minted for that, and not one at every turn.
func TestMountedOwnerFileIsTriedOnce(t *testing.T) {
	t.Parallel()
	k := &Keeper{Token: &Token{Path: "/run/secrets/token"}}
	k.fixed(fmt.Errorf("%w: %w", errReadOnly, errMounted))
	if err := k.renew(t.Context(), "token"); err != nil { // without a ledger it would panic
		t.Error(err)
	}
	if k.fixed(errReadOnly); k.cannotRenew() {
		t.Error("a file that is only read-only counts as mounted")
	}
}
