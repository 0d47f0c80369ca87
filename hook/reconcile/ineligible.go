package reconcile

import (
	"context"
	"errors"
	"fmt"
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
	DropSets(ctx context.Context, lease store.Lease, until time.Time, sets []string, why string) error
}

// Standing is what rules make of a user, whatever the session.
type Standing struct {
	Barred string   // why no rule gives a key; "": one does
	Grants []string // what the profile's key may be made with, as grant.Grant writes it: more than one where the session decides
	Sets   []string // whose keys may stand beside it, see store.Account.In

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
	case (e.KeyID != "" && !e.KeyRefused || len(e.Sets) > 0) && now.After(e.IneligibleSince.Add(apikey.CarriedFor(e.Account))):
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

// otherGrant reports whether a key of the account, which is alive, was made with something else than the rules give now.
func otherGrant(a store.Account, now Standing) bool {
	return otherProfile(a, now) || len(otherSets(a, now)) > 0
}

func otherProfile(a store.Account, now Standing) bool {
	return a.KeyID != "" && !a.KeyRefused && a.CoderUserID != uuid.Nil && !slices.Contains(now.Grants, a.KeyGrant)
}

// otherSets are those that no rule gives the user any more, in whatever session, and whose keys are there.
func otherSets(a store.Account, now Standing) (sets []string) {
	for _, key := range a.Sets {
		if !slices.Contains(now.Sets, key.Set) || key.CoderUserID != a.CoderUserID {
			sets = append(sets, key.Set)
		}
	}
	return sets
}

const whyOtherGrant = "the rules give a key with other scopes, allow_list or lifetime"

// replaceKeys lets the next mints make other keys, and those that are there end when no token can carry them. Without it
// the key of somebody who does not come back would go on.
func (w *walk) replaceKeys(ctx context.Context, e store.Entry) error {
	return w.alone(ctx, e, true, func(ctx context.Context, lease store.Lease, a store.Account) error {
		now, err := w.standing(ctx, a.UserID)
		if err != nil {
			return err
		}
		a.Sets = e.Sets
		if err := w.dropSets(ctx, lease, a, otherSets(a, now), &w.sum.Ended, whyOtherGrant); err != nil || !otherProfile(a, now) {
			return err
		}
		return w.act(&w.sum.Ended, a.UserID, "key replaced: "+whyOtherGrant, func() error {
			w.Keys.Retire(ctx, a.UserID, a.CoderUserID, a.KeyID, apikey.CarriedFor(a))
			return w.Register.WithdrawKey(ctx, lease, w.Now(), whyOtherGrant)
		})
	})
}

// dropSets hands the keys of those sets out no more. They end when no token can carry them.
func (w *walk) dropSets(ctx context.Context, lease store.Lease, a store.Account, sets []string, count *int, why string) error {
	if len(sets) == 0 {
		return nil
	}
	err := w.act(new(int), a.UserID, fmt.Sprintf("%d keys beside the profile's end: %s", len(sets), why), func() error {
		return w.Register.DropSets(ctx, lease, w.Now().Add(apikey.CarriedFor(a)), sets, why)
	})
	if err == nil {
		*count += len(sets)
	}
	return err
}
