package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

// Seals counts the ledger's rows by their seals.
type Seals struct{ Good, Old, None, Broken int }

// Sealing gives rows a seal, after a look at the accounts that they name.
type Sealing struct {
	*Reconciler
	Only uuid.UUID // seals this user's row on an operator's word, whatever it says; zero for none
}

// Count looks at all rows.
func (s *Sealing) Count(ctx context.Context) (n Seals, _ error) {
	err := s.each(ctx, func(a store.Account) error {
		switch a.Seal {
		case store.SealGood:
			n.Good++
		case store.SealOld:
			n.Old++
		case store.SealNone:
			n.None++
		case store.SealBroken:
			n.Broken++
		}
		return nil
	})
	return n, err
}

func (s *Sealing) each(ctx context.Context, do func(store.Account) error) error {
	return s.eachPage(ctx, func(entries []store.Entry) error {
		for _, entry := range entries {
			if err := do(entry.Account); err != nil {
				return err
			}
		}
		return nil
	})
}

// Run seals the rows that need it, one by one, so that it can be broken off. Doubtful ones are told, and left.
func (s *Sealing) Run(ctx context.Context, tell func(string)) (sealed, doubtful int, _ error) {
	err := s.each(ctx, func(a store.Account) error {
		if a.Seal == store.SealGood || s.Only != uuid.Nil && a.UserID != s.Only {
			return nil
		}
		doubt, err := s.doubt(ctx, a)
		if err != nil {
			return err
		}
		if doubt != "" {
			doubtful++
			tell(fmt.Sprintf("%s is left without a seal: %s", a.UserID, doubt))
			return nil
		}
		if err := s.Register.Seal(ctx, a); err != nil && !errors.Is(err, store.ErrSuperseded) { // somebody is at it: the next run
			return err
		}
		sealed++
		return nil
	})
	return sealed, doubtful, err
}

// doubt is why a row is not sealed without an operator's word, or "". There is no doubt about a row whose seal is of
// an older secret, one that an operator names, and one without a seal whose Coder user is named after this user's uuid.
func (s *Sealing) doubt(ctx context.Context, a store.Account) (string, error) {
	switch {
	case a.Seal == store.SealOld, a.UserID == s.Only:
		return "", nil
	case a.Seal == store.SealBroken:
		return "its seal does not fit: somebody else changed it, or the secret is another", nil
	case a.Linked:
		return "it says that Coder user " + a.CoderUserID.String() + " was linked to it", nil
	case a.CoderUserID == uuid.Nil:
		return "it names no Coder user, and says that it was suspended by us", nil
	}
	user, err := s.coderUserPatiently(ctx, a.CoderUserID)
	switch {
	case errors.Is(err, coderclient.ErrNotFound):
		return "Coder has no user " + a.CoderUserID.String(), nil
	case err != nil:
		return "", err
	case !slices.Contains(s.Names.Ours(a.UserID), strings.ToLower(user.Username)):
		return "its Coder user " + user.Username + " is not named after this user", nil
	case len(user.Roles) > 0:
		return "its Coder user " + user.Username + " has roles", nil
	}
	return "", nil
}

// coderUserPatiently sits out Coder's rate limit.
func (s *Sealing) coderUserPatiently(ctx context.Context, id uuid.UUID) (user coderclient.User, err error) {
	w := &walk{Reconciler: s.Reconciler}
	for range rateLimitPatience + 1 {
		if user, err = s.Coder.User(ctx, id.String()); !errors.Is(err, coderclient.ErrRateLimited) {
			return user, err
		}
		if err := w.sitOut(ctx, err); err != nil {
			return user, err
		}
	}
	return user, err
}
