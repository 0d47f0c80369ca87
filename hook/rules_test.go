package hook

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/owner"
	"coderhook/hook/reconcile"
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
			w.useLedger(oddLedger{Ledger: w.store, beforeClaim: func() { w.db.Exec(t, test.meanwhile) }})
			w.reconcile(t, w.reconciler(), reconcile.Summary{Busy: 1})
			if calls := w.coder.Requests(); len(calls) > 0 {
				t.Errorf("Coder was asked: %v", calls)
			}
		})
	}
}

// mixedUp is a Coder that lists somebody else's tokens among a user's.
type mixedUp struct {
	*coderclient.Client
	others  []coderclient.Key
	deleted *[]string
}

func (m mixedUp) Tokens(ctx context.Context, user uuid.UUID) ([]coderclient.Key, error) {
	tokens, err := m.Client.Tokens(ctx, user)
	return append(tokens, m.others...), err
}

func (m mixedUp) DeleteKey(ctx context.Context, user uuid.UUID, id string) error {
	*m.deleted = append(*m.deleted, id)
	return m.Client.DeleteKey(ctx, user, id)
}

func TestNobodyElsesTokenIsDeleted(t *testing.T) {
	t.Parallel()
	w, _, key := newbie(t, profileNew())
	w.coder.AddUser("eve", "eve@example.com", "password")
	w.coder.AddToken("eve", ourToken, 30*authtest.Day)
	eve, err := w.client.User(t.Context(), "eve")
	if err != nil {
		t.Fatal(err)
	}
	others, err := w.client.Tokens(t.Context(), eve.ID)
	if err != nil || len(others) != 1 {
		t.Fatalf("%v, %v", others, err)
	}
	var deleted []string
	w.useCoder(mixedUp{w.client, others, &deleted})
	w.db.Exec(t, banAda)
	w.reconcile(t, w.reconciler(), reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1})
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
	if _, err := w.client.Me(t.Context(), w.coder.AddToken("ada0ada0", "mine", authtest.Day).Whole); err != nil {
		t.Fatal(err)
	}
	c.Advance(authtest.Day)
	w.reconcile(t, w.reconciler(), reconcile.Summary{Offboarded: 1, Suspended: 1})
	if got := w.adaInCoder(t); got.Status != "suspended" || w.status(t, ada) != store.Offboarded {
		t.Errorf("she is %s in Coder and %s in the ledger", got.Status, w.status(t, ada))
	}
}

// forging is a Coder whose new tokens it does not take.
type forging struct{ owner.Coder }

func (forging) CreateToken(context.Context, uuid.UUID, coderclient.NewToken) (string, error) {
	return "AbCdEfGhIj-0123456789012345678901", nil
}

// A successor is tried before it takes the place of a token that works.
func TestOwnersSuccessorIsTriedFirst(t *testing.T) {
	t.Parallel()
	w := newOwnerWorld(t, profileNew())
	keeper := w.keeper(t, w.file)
	keeper.Coder = forging{keeper.Coder}
	w.Advance(85 * time.Hour)
	if err := keeper.Turn(t.Context()); err == nil {
		t.Error("no error")
	}
	if got := w.read(t, w.file); got != w.coder.OwnerToken {
		t.Errorf("the file has %s, which Coder does not take", coderclient.KeyID(got))
	}
}

// A key that works, but for another Coder user than the ledger's, is not handed out again.
func TestCheckFindsAnotherUsersKey(t *testing.T) {
	t.Parallel()
	w, c, key := newbie(t, profileNew())
	w.db.Exec(t, `update coderhook.accounts set coder_user_id = gen_random_uuid()`)
	c.Advance(time.Hour)
	if got := w.mintAda(t); got != key {
		t.Fatal("the key should be found good, at first")
	}
	w.settled()
	if got := w.account(t, ada); !got.KeyRefused || !strings.Contains(got.LastError, "ada0ada0") {
		t.Errorf("not refused: %v, %q", got, got.LastError)
	}
}

// The same goes for one that the ledger has not seen, of whose user Coder says nothing good.
func TestUnknownKeyThatCoderHoldsBack(t *testing.T) {
	t.Parallel()
	for want, fault := range map[string]codertest.Fault{
		"its user is suspended in Coder": {Status: 401, Body: `{"message":"User is not active (status = \"suspended\"). Contact an admin."}`},
		"it may not read its own user":   {Status: 404, Body: `{"message":"Resource not found or you do not have access to this resource"}`},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w, _ := clocked(t, profileNew())
			w.addAda(t)
			w.coder.AddUser("ada0ada0", "ada@example.com", "password")
			key := w.coder.AddToken("ada0ada0", "mine", 30*authtest.Day)
			w.profileKey(t, key.Whole)
			fault.Method, fault.Path = "GET", "/users/me"
			w.coder.Fail(fault)
			w.mintAda(t)
			w.settled()
			if got := w.account(t, ada); !got.KeyRefused || got.LastError != want {
				t.Errorf("got %v, %q", got, got.LastError)
			}
		})
	}
}

// A dead owner's token is told of, by readiness too, until there is another.
func TestOwnersTokenThatIsDead(t *testing.T) {
	t.Parallel()
	w := newOwnerWorld(t, profileNew())
	keeper := w.keeper(t, w.file)
	w.coder.DeleteKey(coderclient.KeyID(w.coder.OwnerToken))
	if err := keeper.Turn(t.Context()); !errors.Is(err, coderclient.ErrUnauthorized) {
		t.Errorf("turn: %v", err)
	}
	if err := keeper.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "does not take") {
		t.Errorf("readiness: %v", err)
	}
	w.coder.OwnerToken = w.coder.AddToken("owner", "another", 7*authtest.Day).Whole
	w.write(t, w.file, w.coder.OwnerToken)
	if err := errors.Join(keeper.Turn(t.Context()), keeper.Check(t.Context())); err != nil {
		t.Errorf("with another: %v", err)
	}
}

func TestOwnersTokenThatWasNotRenewed(t *testing.T) {
	t.Parallel()
	w := newOwnerWorld(t, profileNew())
	keeper := w.keeper(t, w.file)
	w.coder.Fail(codertest.Fault{Method: "POST", Status: 500, Body: `{"message":"Internal error."}`})
	w.Advance(6 * authtest.Day)
	if err := keeper.Turn(t.Context()); err == nil {
		t.Error("no error")
	}
	if err := keeper.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "and was not renewed") {
		t.Errorf("readiness: %v", err)
	}
}
