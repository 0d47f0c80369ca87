package reconcile

import (
	"context"
	"errors"
	"slices"
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

// Standing is what rules make of a user, whatever the session.
type Standing struct {
	Barred string   // why no rule gives a key; "": one does
	Grants []string // what a key may be made with, as grant.Grant writes it: more than one where the session decides

	Carried bool // a rule says that tokens carry the key, whatever else is so
}

// standing is that of a user without rules where there are none: a key is as all are.
func (w *walk) standing(ctx context.Context, user uuid.UUID) (Standing, error) {
	if w.Standing == nil {
		return Standing{Grants: []string{""}}, nil
	}
	return w.Standing(ctx, user)
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
	return w.act(&w.sum.Ended, a.UserID, "key withdrawn", func() error { return w.Register.WithdrawKey(ctx, lease, w.Now(), why) })
}

// against is alone for a user who is there, and to whom still no rule gives a key.
func (w *walk) against(ctx context.Context, e store.Entry, do func(context.Context, store.Lease, store.Account) error) error {
	return w.alone(ctx, e, true, func(ctx context.Context, lease store.Lease, a store.Account) error {
		if now, err := w.standing(ctx, a.UserID); err != nil || now.Barred == "" {
			return err
		}
		return do(ctx, lease, a)
	})
}

// restore ends what withdraw began, for a user to whom a rule gives a key again: the next mint makes one.
func (w *walk) restore(ctx context.Context, lease store.Lease, a store.Account) error {
	return w.act(&w.sum.Eligible, a.UserID, "a rule gives a key again", func() error { return w.Register.MarkEligible(ctx, lease) })
}

// otherGrant reports whether the account's key, which is alive, was made with something else than the rules give now.
func otherGrant(a store.Account, now Standing) bool {
	return a.KeyID != "" && !a.KeyRefused && a.CoderUserID != uuid.Nil && !slices.Contains(now.Grants, a.KeyGrant)
}

// replaceKey lets the next mint make another key, and the one there is end when no token can carry it. Without it the key
// of somebody who does not come back would go on.
func (w *walk) replaceKey(ctx context.Context, lease store.Lease, a store.Account) error {
	if now, err := w.standing(ctx, a.UserID); err != nil || !otherGrant(a, now) {
		return err
	}
	const why = "the rules give a key with other scopes, allow_list or lifetime"
	return w.act(&w.sum.Ended, a.UserID, "key replaced: "+why, func() error {
		w.Keys.Retire(ctx, a.UserID, a.CoderUserID, a.KeyID, apikey.CarriedFor(a))
		return w.Register.WithdrawKey(ctx, lease, w.Now(), why)
	})
}
