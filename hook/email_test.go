package hook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"coderhook/store"
)

// An address that Coder takes makes an account with it, in lower case; any other is one conflict that says so, and
// neither a mint nor the backlog asks Coder about it again and again.
func TestFormsOfAddresses(t *testing.T) {
	t.Parallel()
	eachProfile(t, func(t *testing.T, s settings) {
		s.options.RetryConflict = time.Minute
		w := newWorld(t, s)
		long := strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 57) + ".com"
		for _, address := range []string{"ada+tag@example.com", "ADA.Upper@EXAMPLE.com", "o'brien@example.com", "ü@exämple.com", long} {
			got := w.mint(t, w.db.AddUser(t, address), address)
			w.wantWorkingKey(t, got.key(t), strings.ToLower(address))
		}
		w.coder.ForgetRequests()
		for n, address := range []string{"ada@localhost", "ada@exa_mple.com", "ada😀@example.com"} {
			user := w.db.AddUser(t, address)
			for range 3 {
				if got := w.mint(t, user, address); got.keyStatus(t) != "conflict" {
					t.Errorf("%s: %s", address, got.body)
				}
				w.Keyring.Wait()
			}
			known := w.account(t, user)
			if known.Status != store.Conflict || !strings.Contains(known.LastError, "Coder takes no such e-mail address: the user needs another one in Supabase") {
				t.Errorf("%s: %s, %s", address, known.Status, known.LastError)
			}
			asked := 0
			for _, r := range w.coder.Requests() {
				if r.Method == http.MethodPost {
					asked++
				}
			}
			if load := w.Keyring.Provisioner.Load(); asked > 2*(n+1) || load.Queued > 0 { // twice: with a login type that Coder refused first
				t.Errorf("%s: Coder was asked %d times, %d are queued", address, asked, load.Queued)
			}
		}
	})
}
