package reconcile

import (
	"context"
	"errors"
	"fmt"

	"coderhook/store"

	"github.com/google/uuid"
)

// ErrManyGone says that so many users are gone at once that it looks like the wrong database, or
// like one that is being restored. It takes an operator to say that it is really so.
var ErrManyGone = errors.New("too many users are gone at once")

// fewGone may always be gone at once, however small the product is.
const fewGone = 10

// guard says whether so many users are missing that it looks like a fifth of the product has left. Whom the
// triggers have seen leave, who is banned, or softly deleted, is not missing.
func (w *walk) guard(ctx context.Context) error {
	living, gone := 0, 0
	err := w.pages(ctx, func(e store.Entry, user store.AuthUser) error {
		if e.Status == store.Offboarded {
			return nil
		}
		living++
		if w.missing(e, user) {
			gone++
		}
		return nil
	})
	if err != nil {
		return err
	}
	return manyGone(living, gone)
}

// missing: not in Supabase, for no reason that we know of. Who has just signed up may not be committed yet.
func (w *walk) missing(e store.Entry, user store.AuthUser) bool {
	return !user.Exists && !user.Departed && !(neverHadKey(e) && w.young(e))
}

// manyGone is an ErrManyGone if they are too many.
func manyGone(living, gone int) error {
	if gone <= max(fewGone, living/5) {
		return nil
	}
	return fmt.Errorf("%w: of %d accounts that are not off-boarded yet, the users of %d are not in Supabase, and nobody saw them being deleted. "+
		"These were not touched. Look whether DATABASE_URL is the right database and auth.users is whole; if they are really gone: coderhook reconcile --force",
		ErrManyGone, living, gone)
}

// pages walks through the ledger page by page, and says of each entry what Supabase Auth does.
func (w *walk) pages(ctx context.Context, do func(store.Entry, store.AuthUser) error) error {
	return w.eachPage(ctx, func(entries []store.Entry) error {
		found, err := w.users(ctx, entries)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := do(entry, found[entry.UserID]); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachPage walks through the ledger.
func (r *Reconciler) eachPage(ctx context.Context, do func([]store.Entry) error) error {
	for after := uuid.Nil; ; {
		entries, err := r.Register.Page(ctx, after, PageSize)
		if err != nil || len(entries) == 0 {
			return err
		}
		if err := do(entries); err != nil {
			return err
		}
		after = entries[len(entries)-1].UserID
	}
}
