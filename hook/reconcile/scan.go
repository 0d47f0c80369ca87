package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
)

const (
	ScanTask = "scan"
	scanLook = 5 * time.Second // how often it is looked whether it is time
	// scanMost users of either kind are dealt with in one scan: the next one goes on.
	scanMost = 10_000
	// unwatchedScan is the time between two scans where there are no triggers on auth.users.
	unwatchedScan = 25 * time.Second
	// watchedScan finds what a trigger could not write down, and bans that have run out.
	watchedScan = 5 * time.Minute
)

// Scan looks, until ctx ends, for users who left or came back without a departure that tells of it. Of several
// replicas one does so.
func (r *Reconciler) Scan(ctx context.Context) {
	for pace.Sleep(ctx, about(scanLook)) == nil {
		if !r.Coder.Available() {
			continue
		}
		sum, err := r.ScanTurn(ctx)
		switch {
		case errors.Is(err, ErrReconciling), errors.Is(err, ErrNotDue), errors.Is(err, ErrManyGone), ctx.Err() != nil: // too many missing users are reported by reconciling
		case err != nil:
			r.Log.Warn().Err(err).Msg("looking for who left ended early: the next time goes on")
		case sum != Summary{}:
			r.Log.Info().Stringer("summary", sum).Msg("looked for who left")
		}
	}
}

// ScanTurn scans if it is time.
func (r *Reconciler) ScanTurn(ctx context.Context) (Summary, error) {
	watched, err := r.Register.Watched(ctx)
	if err != nil {
		return Summary{}, err
	}
	interval := unwatchedScan
	if watched {
		interval = watchedScan
	}
	turn, err := r.take(ctx, ScanTask)
	if err != nil {
		return Summary{}, err
	}
	defer turn.End(ctx)
	if r.Now().Sub(turn.Last) < interval {
		return Summary{}, ErrNotDue
	}
	held, stop := turn.Keep(ctx)
	defer stop()
	began := time.Now()
	sum, err := r.ScanAll(held)
	if err == nil || errors.Is(err, ErrManyGone) {
		// Where there are so many accounts that it takes long, it is done more rarely: a tenth of the time is the most.
		turn.Finished = r.Now().Add(max(0, 10*time.Since(began)-interval))
	}
	r.Metrics.changed(sum)
	return sum, err
}

// ScanAll looks at all accounts, and does what is to be done about those that are at odds with auth.users. Who is
// missing comes last, when it is known whether they are too many.
func (r *Reconciler) ScanAll(ctx context.Context) (Summary, error) {
	swift := *r
	swift.Pause = 0
	w := &walk{Reconciler: &swift}
	found, err := r.Register.Changes(ctx, scanMost)
	if err != nil {
		return w.sum, err
	}
	if err := w.some(ctx, found.Others, w.patiently); err != nil {
		return w.sum, err
	}
	unseen := found.Missing - len(found.Gone)
	count := func(_ context.Context, e store.Entry, user store.AuthUser) error {
		if w.missing(e, user) {
			unseen++
		}
		return nil
	}
	if err := w.some(ctx, found.Gone, count); err != nil {
		return w.sum, err
	}
	refused := manyGone(found.Accounts, unseen)
	w.withhold = refused != nil
	if err := w.some(ctx, found.Gone, w.patiently); err != nil {
		return w.sum, err
	}
	return w.sum, refused
}

// some does something about the accounts of some users, page by page.
func (w *walk) some(ctx context.Context, ids []uuid.UUID, do func(context.Context, store.Entry, store.AuthUser) error) error {
	for len(ids) > 0 {
		page := ids[:min(PageSize, len(ids))]
		ids = ids[len(page):]
		entries, err := w.Register.Entries(ctx, page)
		if err != nil {
			return err
		}
		users, err := w.users(ctx, entries)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := do(ctx, e, users[e.UserID]); err != nil {
				return err
			}
		}
	}
	return nil
}

// ErrManyGone says that so many users are gone at once that it looks like the wrong database, or
// like one that is being restored. It takes an operator to say that it is really so.
var ErrManyGone = errors.New("too many users are gone at once")

// fewGone may always be gone at once, however small the product is.
const fewGone = 10

// guard says whether so many users are missing that it looks like a fifth of the product has left. Whom the
// triggers have seen leave, who is banned, or softly deleted, is not missing. Where next to nobody is, the database can tell at once.
func (w *walk) guard(ctx context.Context) error {
	if found, err := w.Register.Changes(ctx, 1); err == nil && found.Missing <= fewGone {
		return nil
	}
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
			if w.Seen != nil {
				w.Seen()
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

const (
	LookTask = "look"
	lookEach = 5 * time.Minute // so often it is looked whose look is too old
)

// Look looks, until ctx ends, at accounts with which nothing has happened for long: what only Coder knows of is found in
// FullInterval, spread over it. Of several replicas one does so.
func (r *Reconciler) Look(ctx context.Context) {
	for r.FullInterval > 0 && pace.Sleep(ctx, about(min(lookEach, r.FullInterval/10))) == nil {
		if !r.Coder.Available() {
			continue
		}
		sum, err := r.LookTurn(ctx)
		switch {
		case errors.Is(err, ErrReconciling), ctx.Err() != nil:
		case err != nil:
			r.Log.Warn().Err(err).Msg("looking at tokens in Coder ended early: the next time goes on")
		case sum != Summary{}:
			r.Log.Info().Stringer("summary", sum).Msg("looked at tokens in Coder")
		}
	}
}

// LookTurn looks at all accounts whose look is too old.
func (r *Reconciler) LookTurn(ctx context.Context) (Summary, error) {
	turn, err := r.take(ctx, LookTask)
	if err != nil {
		return Summary{}, err
	}
	defer turn.End(ctx)
	held, stop := turn.Keep(ctx)
	defer stop()
	w := &walk{Reconciler: r, full: true}
	if err = w.unlooked(held); err == nil {
		turn.Finished = r.Now()
	}
	r.Metrics.changed(w.sum)
	return w.sum, err
}

// unlooked goes from the oldest look to the youngest that is too old. Whoever is not here, or is not believed, is for reconciling.
func (w *walk) unlooked(ctx context.Context) error {
	for after, began := (store.Entry{}), w.Now(); ; {
		entries, err := w.Register.Unlooked(ctx, after, began, w.FullInterval, PageSize)
		if err != nil || len(entries) == 0 {
			return err
		}
		after = entries[len(entries)-1]
		users, err := w.users(ctx, entries)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Distrust() != nil || e.Leased || !users[e.UserID].Living(w.Now()) {
				continue
			}
			if err := w.withPatience(ctx, e, func() error { return w.sweep(ctx, e) }); err != nil {
				return err
			}
		}
	}
}
