package hook

import (
	"context"
	"testing"
	"time"

	"coderhook/hook/keyring"
	"coderhook/store"

	"github.com/google/uuid"
)

// oddLedger is the real one, but for what a test has go on around it.
type oddLedger struct {
	keyring.Ledger
	beforeClaim func()
	forgetful   bool // it tells of fewer users than it is asked for
}

func (l oddLedger) Claim(ctx context.Context, lease store.Lease, ttl time.Duration) error {
	if l.beforeClaim != nil {
		l.beforeClaim()
	}
	return l.Ledger.Claim(ctx, lease, ttl)
}

func (l oddLedger) AuthUsers(ctx context.Context, ids []uuid.UUID) ([]store.AuthUser, error) {
	if l.forgetful {
		return nil, nil
	}
	return l.Ledger.AuthUsers(ctx, ids)
}

// Another replica may finish between our look-up and our claim: its key is the one that counts.
func TestLooksAgainUnderTheLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := w.db.AddUser(t, "ada@example.com")
	const key = "AbCdEfGhIj-0123456789012345678901"
	w.useLedger(oddLedger{Ledger: w.store, beforeClaim: func() {
		w.db.Exec(t, `insert into public.profiles (id, api_key) values ($1, $2) on conflict do nothing`, user, key)
	}})
	if got := w.mint(t, user, "ada@example.com").key(t); got != key {
		t.Errorf("got %.10s, want the other replica's key", got)
	}
	if users := w.coder.Users(); len(users) > 0 {
		t.Errorf("made %+v", users)
	}
}

// That a user was not told of does not mean that they are gone.
func TestReconcileNeedsAnAnswerForEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.addAda(t)
	w.mint(t, ada, "ada@example.com")
	w.settled()
	w.db.Exec(t, `update coderhook.accounts set created_at = now() - interval '1 day', updated_at = now() - interval '1 day'`)
	w.useLedger(oddLedger{Ledger: w.store, forgetful: true})
	if sum, err := w.reconciler().Reconcile(t.Context(), false); err == nil {
		t.Errorf("no error: %s", sum)
	}
	if user := w.adaInCoder(t); user.Status == "suspended" || len(w.tokensOfAda()) != 1 {
		t.Errorf("she was off-boarded: %+v", user)
	}
}
