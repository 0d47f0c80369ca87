package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/apikey"
	"coderhook/hook/lease"
	"coderhook/store"

	"github.com/google/uuid"
)

// toldWithheld is how many who are missing are named: with the wrong database, all are.
const toldWithheld = 100

// entry decides what is to be done about one account.
func (w *walk) entry(ctx context.Context, e store.Entry, user store.AuthUser) error {
	here := user.Living(w.Now())
	var standing Standing
	var err error
	if here && e.Distrust() == nil && !e.Leased {
		standing, err = w.standing(ctx, e.UserID)
	}
	switch {
	case e.Distrust() != nil:
		return e.Distrust()
	case e.Leased:
		w.sum.Busy++
		return nil
	case err != nil:
		return err
	case standing.Barred != "":
		return w.withdraw(ctx, e, standing.Barred)
	case here && !awaited(e.Account) && !e.IneligibleSince.IsZero():
		return w.alone(ctx, e, true, w.restore)
	case here && awaited(e.Account):
		return w.bringBack(ctx, e)
	case here && otherGrant(e.Account, standing):
		return w.replaceKeys(ctx, e)
	case here && standing.Carried:
		return w.sweep(ctx, e)
	case here:
		return w.tidy(ctx, e)
	case e.Status == store.Offboarded && e.Stopping:
		return w.alone(ctx, e, false, w.stopWorkspaces)
	case e.Status == store.Offboarded && !w.keptForRule(e):
		return nil
	}
	if spared, err := w.spare(ctx, e, user); err != nil || spared {
		return err
	}
	if !user.Exists && neverHadKey(e) {
		return w.alone(ctx, e, false, w.removeOrphan)
	}
	return w.alone(ctx, e, false, w.offboard)
}

// keptForRule: not deleted, as the user was still there when no rule gave a key any more.
func (w *walk) keptForRule(e store.Entry) bool {
	return w.Delete && !e.Linked && !e.IneligibleSince.IsZero() && e.CoderUserID != uuid.Nil
}

// spare reports whether a user is left alone who is missing without having been seen to leave: their sign-up
// may not be committed yet, or too many are missing at once.
func (w *walk) spare(ctx context.Context, e store.Entry, user store.AuthUser) (bool, error) {
	if user.Exists || user.Departed {
		return false, nil
	}
	waits, err := w.uncommitted(ctx, e)
	switch {
	case err != nil:
		return false, err
	case waits:
		w.sum.Waiting++
		w.tell(e.UserID, "is not in Supabase, but the sign-up may not be committed yet: waits until "+
			e.UpdatedAt.Add(signUpPatience).UTC().Format(time.RFC3339))
	case w.withhold:
		if w.sum.Withheld++; w.sum.Withheld <= toldWithheld {
			w.tell(e.UserID, "is not in Supabase, as too many others: left as it is")
		}
	}
	return waits || w.withhold, nil
}

// uncommitted: a sign-up may be under way. That a key was once stored in the profile, which has gone with
// the user since, shows that it is not.
func (w *walk) uncommitted(ctx context.Context, e store.Entry) (bool, error) {
	if !w.young(e) || neverHadKey(e) {
		return w.young(e), nil
	}
	known, err := w.Ledger.Lookup(ctx, e.UserID)
	return known.HasProfile, err // a table without a foreign key: it takes the profile of anybody
}

func (w *walk) young(e store.Entry) bool { return w.Now().Sub(e.UpdatedAt) < signUpPatience }

// awaited: off-boarded, until the user is here again. A mint that was under way when it happened
// may have said otherwise, but it is still we who suspended.
func awaited(a store.Account) bool { return a.Status == store.Offboarded || a.SuspendedByUs }

// neverHadKey: the account of a sign-up that was rolled back, at whatever point we learnt of it.
func neverHadKey(e store.Entry) bool {
	return e.Status == store.Orphaned || e.KeyID == "" && e.RetiredUntil.IsZero()
}

// alone does something while nobody else works on the account, and while what called for it is
// still so. A dry run takes no lease.
func (w *walk) alone(ctx context.Context, e store.Entry, here bool, do func(context.Context, store.Lease, store.Account) error) error {
	if w.dry {
		return do(ctx, store.Lease{UserID: e.UserID}, e.Account)
	}
	err := w.holding(ctx, e.UserID, func(ctx context.Context, lease store.Lease) error {
		now, err := w.Ledger.Lookup(ctx, e.UserID)
		if err != nil {
			return err
		}
		if err := now.Distrust(); err != nil {
			return err
		}
		users, err := w.Ledger.AuthUsers(ctx, []uuid.UUID{e.UserID})
		if err != nil {
			return err
		}
		if now.Status != e.Status || now.KeyID != e.KeyID || len(users) != 1 || users[0].Living(w.Now()) != here {
			return store.ErrLeased // the next run looks again
		}
		return do(ctx, lease, now)
	})
	if errors.Is(err, store.ErrLeased) {
		w.sum.Busy++
		return nil
	}
	return err
}

// holding does something with the account's lease, or returns store.ErrLeased.
func (w *walk) holding(ctx context.Context, user uuid.UUID, do func(context.Context, store.Lease) error) error {
	held := lease.New(w.Instance, user)
	if err := w.Ledger.Claim(ctx, held, w.LeaseTTL); err != nil {
		return err
	}
	ctx, stop := lease.Keep(ctx, w.Ledger, held, w.LeaseTTL, w.Log)
	defer stop()
	return do(ctx, held)
}

// act does one deed and tells of it. A dry run only tells.
func (w *walk) act(count *int, user uuid.UUID, deed string, do func() error) error {
	if !w.dry {
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", deed, err)
		}
	}
	*count++
	w.tell(user, deed)
	return nil
}

func (w *walk) tell(user uuid.UUID, deed string) {
	if w.Tell != nil {
		w.Tell(user.String() + ": " + deed)
		return
	}
	w.Log.Info().Stringer("user_id", user).Str("deed", deed).Bool("dry_run", w.dry).Msg("reconciling")
}

// bringBack also tries the key, if whoever off-boarded its user was killed before the ledger knew: it may be dead.
func (w *walk) bringBack(ctx context.Context, e store.Entry) error {
	busy := w.sum.Busy
	err := w.alone(ctx, e, true, w.welcome)
	if err != nil || w.sum.Busy > busy || w.dry || e.Status == store.Offboarded {
		return err
	}
	return w.TryKey(ctx, e.UserID)
}

// welcome gives back what off-boarding took from a user who is here again.
func (w *walk) welcome(ctx context.Context, lease store.Lease, a store.Account) error {
	w.asked = true
	deed := "is back"
	if a.SuspendedByUs {
		deed = "is back: Coder user " + a.CoderUsername + " activated"
	}
	return w.act(&w.sum.Activated, a.UserID, deed, func() error {
		if a.SuspendedByUs {
			if _, err := w.Coder.Activate(ctx, a.CoderUserID); err != nil && !errors.Is(err, coderclient.ErrNotFound) {
				return err
			}
		}
		return w.Ledger.Reactivate(ctx, lease)
	})
}

// tidy ends what is in tokens no more, and begins to end what should not be in any.
func (w *walk) tidy(ctx context.Context, e store.Entry) error {
	if err := w.sweep(ctx, e); err != nil || w.Withdraw == nil {
		return err
	}
	if err := w.withdrawSets(ctx, e); err != nil || !givenOut(e.Account, w.Now()) {
		return err
	}
	w.sum.GivenOut++
	w.asked = true
	err := w.act(&w.sum.Withdrawn, e.UserID, "key "+e.KeyID+" replaced, which tokens have carried", func() error {
		ctx, cancel := context.WithTimeout(ctx, w.Timeout)
		defer cancel()
		return w.Withdraw(ctx, e.Account, max(e.TokenLife, time.Hour))
	})
	if err == nil && !w.dry {
		w.sum.GivenOut--
	}
	return err
}

// withdrawSets ends the keys beside the profile's that tokens have carried. Their sessions' next mints make others.
func (w *walk) withdrawSets(ctx context.Context, e store.Entry) error {
	var carried []string
	for _, key := range e.Sets {
		if !key.Unseen {
			carried = append(carried, key.Set)
		}
	}
	if len(carried) == 0 {
		return nil
	}
	return w.alone(ctx, e, true, func(ctx context.Context, lease store.Lease, a store.Account) error {
		return w.dropSets(ctx, lease, a, carried, &w.sum.Withdrawn, "tokens have carried them")
	})
}

// givenOut reports whether tokens have carried a key that works, and that could be replaced.
func givenOut(a store.Account, now time.Time) bool {
	alive := a.KeyID != "" && !a.KeyRefused && (a.KeyExpiresAt.IsZero() || a.KeyExpiresAt.After(now))
	return alive && !a.KeyUnseen && a.CoderUserID != uuid.Nil && !a.Conflicted()
}

// sweep deletes tokens of ours that are neither current nor in any access token. Coder is asked for them only where there
// may be such that the ledger does not know of.
func (w *walk) sweep(ctx context.Context, e store.Entry) error {
	look, replaced := w.toBeLookedAt(e), !e.RetiredUntil.IsZero() && e.RetiredUntil.Before(w.Now())
	if e.CoderUserID == uuid.Nil || !look && !replaced {
		return nil
	}
	w.asked = true
	began := w.Now()
	retired, err := w.Ledger.Retired(ctx, e.UserID)
	if err != nil {
		return err
	}
	keep := map[string]bool{e.KeyID: true}
	for _, key := range retired {
		keep[key.KeyID] = true
		if !key.Until.Before(w.Now()) {
			continue
		}
		err := w.act(&w.sum.Tokens, e.UserID, "replaced token "+key.KeyID+" deleted", func() error { return w.Keys.DeleteOld(ctx, key) })
		if err != nil {
			return err
		}
	}
	if !look {
		return nil
	}
	err = w.deleteTokens(ctx, e.Account, func(k coderclient.Key) bool { return !keep[k.ID] && w.stale(e.Account, k) })
	if err != nil || w.dry {
		return err
	}
	return w.Register.Looked(ctx, e.UserID, began)
}

// stale: whoever made the token died before it was stored, and so long ago that no access
// token can carry it.
func (w *walk) stale(a store.Account, k coderclient.Key) bool {
	return k.CreatedAt.Add(w.untilStale(a)).Before(w.Now())
}

func (w *walk) untilStale(a store.Account) time.Duration {
	return w.Timeout + w.PersistPatience + w.LockPatience + apikey.CarriedFor(a)
}

// toBeLookedAt: whoever worked on the account since the last look may have left a token that is stale by now, and that
// only Coder knows of. What was under way then had ended after the timeout. A look of the future is one of a clock that
// was wrong, or somebody else's word.
func (w *walk) toBeLookedAt(e store.Entry) bool {
	stale := e.ChangedAt.Add(w.Timeout + w.untilStale(e.Account))
	return w.full || e.LookedAt.Before(stale) && stale.Before(w.Now()) || e.LookedAt.After(w.Now().Add(w.Timeout))
}

// deleteTokens deletes those of our tokens that match.
func (w *walk) deleteTokens(ctx context.Context, a store.Account, match func(coderclient.Key) bool) error {
	w.asked = true
	tokens, err := w.Coder.Tokens(ctx, a.CoderUserID)
	if err != nil && !errors.Is(err, coderclient.ErrNotFound) {
		return err
	}
	for _, token := range tokens {
		if token.UserID != a.CoderUserID || !apikey.Ours(a, token) || !match(token) {
			continue
		}
		err := w.act(&w.sum.Tokens, a.UserID, "token "+token.ID+" deleted", func() error {
			return w.Coder.DeleteKey(ctx, a.CoderUserID, token.ID)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Summary counts what reconciling did, or, in a dry run, would do.
type Summary struct {
	Accounts   int // looked at
	Offboarded int // whose users are gone or banned
	Suspended  int // in Coder
	Deleted    int // Coder users
	Activated  int // who are back
	Orphans    int // of sign-ups that were rolled back
	Tokens     int // deleted in Coder
	Busy       int // left to the next run, as somebody was at work on them
	Failed     int // see the log
	Stopped    int // workspaces
	Waiting    int // not in Supabase, but perhaps not committed yet
	Withheld   int // not in Supabase, as too many others
	Withdrawn  int // keys that tokens have carried, and that were replaced
	GivenOut   int // keys that are still to be replaced
	Ineligible int // to whom no rule gives a key any more
	Eligible   int // to whom one does again
	Ended      int // keys of those, and keys that were made with something else than the rules give now
}

func (s Summary) String() string {
	text := fmt.Sprintf("%d accounts: %d off-boarded (%d Coder users suspended, %d deleted), %d back, %d orphans removed, %d tokens deleted, %d busy, %d failed; %d workspaces stopped, %d waiting for their sign-up, %d withheld",
		s.Accounts, s.Offboarded, s.Suspended, s.Deleted, s.Activated, s.Orphans, s.Tokens, s.Busy, s.Failed,
		s.Stopped, s.Waiting, s.Withheld)
	if s.Withdrawn+s.GivenOut > 0 {
		text += fmt.Sprintf("; %d keys replaced that tokens have carried, %d left", s.Withdrawn, s.GivenOut)
	}
	if s.Ineligible+s.Eligible+s.Ended > 0 {
		text += fmt.Sprintf("; %d not eligible any more, %d eligible again, %d keys ended by rules", s.Ineligible, s.Eligible, s.Ended)
	}
	return text
}
