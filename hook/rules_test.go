package hook

import (
	"context"
	"slices"
	"testing"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

// What called for a deed may have ended when the lease is ours: then nothing is done, and the next
// run looks again.
func TestReconcilingLooksAgainUnderTheLease(t *testing.T) {
	t.Parallel()
	const offboarded = `update coderhook.accounts set status = 'offboarded', suspended_by_us = true`
	for name, test := range map[string]struct{ before, meanwhile string }{
		"the ban is lifted":         {banAda, unbanAda},
		"a mint makes another key":  {banAda, `update coderhook.accounts set key_id = 'ZyXwVuTsRq'`},
		"somebody else did it":      {banAda, offboarded},
		"she is banned again":       {offboarded, banAda},
		"somebody took the account": {banAda, `update coderhook.accounts set lease_owner = 'else', lease_until = now() + interval '1 minute'`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, _ := newbie(t, profileNew())
			w.db.Exec(t, test.before)
			w.coder.ForgetRequests()
			w.Provisioner.Ledger = oddLedger{Ledger: w.store, beforeClaim: func() { w.db.Exec(t, test.meanwhile) }}
			w.reconcile(t, w.reconciler(), Summary{Busy: 1})
			if calls := w.coder.Requests(); len(calls) > 0 {
				t.Errorf("Coder was asked: %v", calls)
			}
		})
	}
}

// mixedUp is a Coder that lists somebody else's tokens among a user's.
type mixedUp struct {
	Coder
	others  []coderclient.Key
	deleted *[]string
}

func (m mixedUp) Tokens(ctx context.Context, user uuid.UUID) ([]coderclient.Key, error) {
	tokens, err := m.Coder.Tokens(ctx, user)
	return append(tokens, m.others...), err
}

func (m mixedUp) DeleteKey(ctx context.Context, user uuid.UUID, id string) error {
	*m.deleted = append(*m.deleted, id)
	return m.Coder.DeleteKey(ctx, user, id)
}

func TestNobodyElsesTokenIsDeleted(t *testing.T) {
	t.Parallel()
	w, _, key := newbie(t, profileNew())
	w.coder.AddUser("eve", "eve@example.com", "password")
	w.coder.AddToken("eve", ourToken, 30*day)
	eve, err := w.client.User(t.Context(), "eve")
	if err != nil {
		t.Fatal(err)
	}
	others, err := w.client.Tokens(t.Context(), eve.ID)
	if err != nil || len(others) != 1 {
		t.Fatalf("%v, %v", others, err)
	}
	var deleted []string
	w.Provisioner.Coder = mixedUp{w.client, others, &deleted}
	w.db.Exec(t, banAda)
	w.reconcile(t, w.reconciler(), Summary{Offboarded: 1, Suspended: 1, Tokens: 1})
	if slices.Contains(deleted, others[0].ID) || !slices.Contains(deleted, coderclient.KeyID(key)) {
		t.Errorf("deleted %v", deleted)
	}
}

// A sign-up was rolled back, but somebody has used its Coder user since: what there is stays, suspended.
func TestOrphanThatWasUsedIsSuspended(t *testing.T) {
	t.Parallel()
	w, c := clocked(t, profileNew())
	made := w.coder.AddUser("ada0ada0", "ada@example.com", "none")
	w.db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, coder_username, status, updated_at) values ($1, $2, 'ada0ada0', 'orphaned', now() - interval '1 hour')`, ada, made.ID)
	if _, err := w.client.Me(t.Context(), w.coder.AddToken("ada0ada0", "mine", day).Whole); err != nil {
		t.Fatal(err)
	}
	c.advance(day)
	w.reconcile(t, w.reconciler(), Summary{Offboarded: 1, Suspended: 1})
	if got := w.adaInCoder(t); got.Status != "suspended" || w.status(t, ada) != store.Offboarded {
		t.Errorf("she is %s in Coder and %s in the ledger", got.Status, w.status(t, ada))
	}
}

// forging is a Coder whose new tokens it does not take.
type forging struct{ OwnerCoder }

func (forging) CreateToken(context.Context, uuid.UUID, coderclient.NewToken) (string, error) {
	return "AbCdEfGhIj-0123456789012345678901", nil
}

// A successor is tried before it takes the place of a token that works.
func TestOwnersSuccessorIsTriedFirst(t *testing.T) {
	t.Parallel()
	w := newOwnerWorld(t, profileNew())
	keeper := w.keeper(t, w.file)
	keeper.Coder = forging{keeper.Coder}
	w.advance(85 * 3600e9)
	if err := keeper.Turn(t.Context()); err == nil {
		t.Error("no error")
	}
	if got := w.read(t, w.file); got != w.coder.OwnerToken {
		t.Errorf("the file has %s, which Coder does not take", coderclient.KeyID(got))
	}
}
