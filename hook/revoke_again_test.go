package hook

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/keyring"
	"coderhook/store"
)

// adoptedAda has a key that somebody made by hand, and that the ledger knows by now.
func adoptedAda(t *testing.T, username string) (w *world, key string) {
	t.Helper()
	w, _ = clocked(t, patient())
	w.addAda(t)
	w.coder.AddUser(username, "ada@example.com", "none")
	key = w.coder.AddToken(username, "by-hand", 30*authtest.Day).Whole
	w.profileKey(t, key)
	w.mintAda(t)
	w.settled()
	if a := w.account(t, ada); a.KeyID != coderclient.KeyID(key) || a.KeyRefused {
		t.Fatalf("not adopted: %s", a)
	}
	return w, key
}

// The ledger says that the key is not to be handed out before it has ended in Coder: what is broken off
// in between must not leave it alive, though it has not our name.
func TestRevokeEndsAnAdoptedKeyAtTheSecondTry(t *testing.T) {
	t.Parallel()
	for _, username := range []string{"ada0ada0", "lovelace"} {
		for _, all := range []bool{false, true} {
			w, key := adoptedAda(t, username)
			r := w.revoker()
			r.All = all
			heal := w.coder.Fail(codertest.Fault{Method: http.MethodDelete, Status: 500, Body: `{"message":"No."}`})
			if _, err := r.Revoke(t.Context(), ada); err == nil {
				t.Fatal("it ended well")
			}
			heal()
			eventually(t, "Coder is back", func() bool { return w.client.Probe(t.Context()) == nil && w.client.Available() })
			if done := w.revokeAda(t, r); done.Ours != 1 || done.Left != 0 || done.Others != 0 {
				t.Errorf("%s, all %v: %s", username, all, done)
			}
			w.wantDead(t, key)
		}
	}
}

// A key that was refused as somebody else's stays theirs.
func TestRevokeLeavesAPlantedKeyToItsOwner(t *testing.T) {
	t.Parallel()
	w, _ := clocked(t, patient())
	w.addAda(t)
	w.mintAda(t)
	w.settled()
	planted := w.coder.AddToken("owner", "ci", 30*authtest.Day).Whole
	w.db.Exec(t, `update public.profiles set api_key = $1`, planted)
	w.mintAda(t)
	w.settled()
	for range 2 {
		w.revokeAda(t, w.revoker())
	}
	if _, err := w.client.Me(t.Context(), planted); err != nil {
		t.Errorf("the owner's own token: %v", err)
	}
	w.wantWorkingKey(t, w.mintAda(t), "ada@example.com")
}

// Killed while the Coder user is suspended, for a thief's sake, the next run gives the account back.
func TestRevokeAllActivatesWhomABrokenRunSuspended(t *testing.T) {
	t.Parallel()
	w, _, stolen := newbie(t, patient())
	lease := store.Lease{UserID: ada, Owner: "killed"}
	for _, err := range []error{
		w.store.Claim(t.Context(), lease, time.Minute),
		w.store.Revoke(t.Context(), lease, w.Now(), "root", ""),
		w.store.IntendSuspension(t.Context(), lease),
		w.store.Release(t.Context(), lease),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.coder.SuspendUser("ada0ada0")
	r := w.revoker()
	r.All = true
	if done := w.revokeAda(t, r); done.NoNewKey != nil {
		t.Errorf("%s", done)
	}
	w.wantDead(t, stolen)
	w.wantWorkingKey(t, w.mintAda(t), "ada@example.com")
}

// lookups lets a test do something between the revoker's first look and its lease.
type lookups struct {
	keyring.Ledger
	first func()
}

func (l *lookups) Claim(ctx context.Context, lease store.Lease, ttl time.Duration) error {
	if l.first != nil {
		do := l.first
		l.first = nil
		do()
	}
	return l.Ledger.Claim(ctx, lease, ttl)
}

// Between the first look and the lease a mint replaces the key that the ledger does not know: neither that
// one nor the new one lives on, and neither is handed out.
func TestRevokeWhileAStrayKeyIsReplaced(t *testing.T) {
	t.Parallel()
	w, _, ours := newbie(t, patient())
	stray := w.coder.AddToken("ada0ada0", "by-hand", 30*authtest.Day).Whole
	w.db.Exec(t, `update public.profiles set api_key = $1`, stray)
	r := w.revoker()
	var replaced string
	ledger := &lookups{Ledger: w.store, first: func() {
		lease := store.Lease{UserID: ada, Owner: "another replica"}
		user, _ := w.coder.User("ada0ada0")
		token, err := w.client.CreateToken(t.Context(), user.ID, coderclient.NewToken{Name: "supabase-abcdefghijkl", Lifetime: 30 * authtest.Day})
		if err != nil {
			t.Error(err)
		}
		replaced = token
		for _, err := range []error{
			w.store.Claim(t.Context(), lease, time.Minute),
			w.store.StoreKey(t.Context(), lease, store.Key{Secret: token, ID: coderclient.KeyID(token), ExpiresAt: w.Now().Add(30 * authtest.Day), Lifetime: 30 * authtest.Day, MadeAt: w.Now()}),
			w.store.Release(t.Context(), lease),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	}}
	r.Ledger = ledger
	done := w.revokeAda(t, r)
	for _, key := range []string{ours, stray, replaced} {
		w.wantDead(t, key)
	}
	key := w.mintAda(t)
	if key == ours || key == stray || key == replaced {
		t.Errorf("an old one is handed out: %s; %s", coderclient.KeyID(key), done)
	}
	w.wantWorkingKey(t, key, "ada@example.com")
}

// What was learnt of a key before it was revoked comes too late afterwards.
func TestARevokedKeyIsNotAdopted(t *testing.T) {
	t.Parallel()
	w, key := adoptedAda(t, "ada0ada0")
	a := w.account(t, ada)
	w.db.Exec(t, `update auth.users set banned_until = 'infinity'`) // no new key
	w.revokeAda(t, w.revoker())
	err := w.store.Adopt(t.Context(), store.Adoption{
		UserID: ada, CoderUser: a.CoderUserID, Username: "ada0ada0",
		Key: store.Key{ID: coderclient.KeyID(key), ExpiresAt: a.KeyExpiresAt, Lifetime: a.KeyLifetime, MadeAt: w.Now()},
	})
	if err == nil || !strings.Contains(err.Error(), store.ErrSuperseded.Error()) {
		t.Errorf("adopted: %v", err)
	}
	if got := w.mint(t, ada, "ada@example.com"); got.key(t) == key {
		t.Error("it is handed out")
	}
}
