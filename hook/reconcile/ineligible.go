package reconcile

import (
	"context"
	"errors"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/apikey"
	"coderhook/store"

	"github.com/google/uuid"
)

// Eligibility is what is written down of users to whom no rule gives a key.
type Eligibility interface {
	MarkIneligible(ctx context.Context, lease store.Lease, now time.Time, why string) error
	MarkEligible(ctx context.Context, lease store.Lease) error
	WithdrawKey(ctx context.Context, lease store.Lease, now time.Time, why string) error
}

// barred returns why no rule gives the user a key, in whatever session, or "".
func (w *walk) barred(ctx context.Context, user uuid.UUID) (string, error) {
	if w.Ineligible == nil {
		return "", nil
	}
	found, err := w.Ineligible(ctx, []uuid.UUID{user})
	return found[user], err
}

// withdraw takes from a user who is there what no rule gives them any more, step by step: new tokens carry no key
// already; the key goes when no token can carry it, and the account is suspended after the grace. A linked account stays
// as it is but for our keys. Each step looks again whether it is still so.
func (w *walk) withdraw(ctx context.Context, e store.Entry, why string) error {
	now := w.Now()
	switch {
	case e.IneligibleSince.IsZero():
		return w.against(ctx, e, func(ctx context.Context, lease store.Lease, a store.Account) error {
			return w.act(&w.sum.Ineligible, a.UserID, "no key any more: "+why, func() error {
				return w.Register.MarkIneligible(ctx, lease, now, why)
			})
		})
	case e.Status == store.Offboarded && e.Stopping:
		return w.alone(ctx, e, true, w.stopWorkspaces)
	case e.Status == store.Offboarded || e.CoderUserID == uuid.Nil:
		return nil
	case !e.Linked && !now.Before(e.IneligibleSince.Add(w.Grace)):
		w.keepsAccount = true
		defer func() { w.keepsAccount = false }()
		return w.against(ctx, e, w.offboard)
	case e.KeyID != "" && !e.KeyRefused && now.After(e.IneligibleSince.Add(apikey.CarriedFor(e.Account))):
		return w.against(ctx, e, func(ctx context.Context, lease store.Lease, a store.Account) error {
			return w.withdrawKey(ctx, lease, a, why)
		})
	}
	return w.sweep(ctx, e)
}

// withdrawKey ends our keys first: were the ledger told before and we killed, nobody would come back to them.
func (w *walk) withdrawKey(ctx context.Context, lease store.Lease, a store.Account, why string) error {
	if err := w.endTokens(ctx, a); err != nil && !errors.Is(err, coderclient.ErrNotFound) {
		return err
	}
	return w.act(&w.sum.Withdrawn, a.UserID, "key withdrawn", func() error { return w.Register.WithdrawKey(ctx, lease, w.Now(), why) })
}

// against is alone for a user who is there, and to whom still no rule gives a key.
func (w *walk) against(ctx context.Context, e store.Entry, do func(context.Context, store.Lease, store.Account) error) error {
	return w.alone(ctx, e, true, func(ctx context.Context, lease store.Lease, a store.Account) error {
		if why, err := w.barred(ctx, a.UserID); err != nil || why == "" {
			return err
		}
		return do(ctx, lease, a)
	})
}

// restore ends what withdraw began, for a user to whom a rule gives a key again: the next mint makes one.
func (w *walk) restore(ctx context.Context, lease store.Lease, a store.Account) error {
	return w.act(&w.sum.Eligible, a.UserID, "a rule gives a key again", func() error { return w.Register.MarkEligible(ctx, lease) })
}
