package reconcile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/apikey"
	"coderhook/store"

	"github.com/google/uuid"
)

// offboard ends the access of a user who is gone or banned: first the Coder user, so that it
// ends at once, then the tokens, and only then the ledger says that it is done.
func (w *walk) offboard(ctx context.Context, lease store.Lease, a store.Account) error {
	if err := w.endAccess(ctx, lease, a); err != nil {
		return err
	}
	err := w.act(&w.sum.Offboarded, a.UserID, "off-boarded", func() error {
		return w.Register.Offboard(ctx, lease, w.Now())
	})
	if err != nil || a.Linked {
		return err
	}
	// Not a part of it: that a workspace can't be stopped now must not let the ledger call the key a good one.
	if err := w.stopWorkspaces(ctx, lease, a); err != nil && !errors.Is(err, errUnderWay) {
		if !errors.Is(err, coderclient.ErrRateLimited) {
			w.sum.Failed++
		}
		w.tell(a.UserID, "workspaces are not stopped yet, which is tried again: "+err.Error())
	}
	return nil
}

// endAccess deletes or suspends the Coder user, and deletes our tokens.
func (w *walk) endAccess(ctx context.Context, lease store.Lease, a store.Account) error {
	if a.CoderUserID == uuid.Nil {
		return nil
	}
	w.asked = true
	user, err := w.Coder.User(ctx, a.CoderUserID.String())
	if errors.Is(err, coderclient.ErrNotFound) {
		return w.deleteLedgers(ctx, a)
	}
	if err != nil {
		return err
	}
	switch {
	case a.Linked:
		w.tell(a.UserID, "Coder user "+user.Username+" was not made by us: it loses only our tokens, and its sessions in workspace apps")
		return errors.Join(w.endSessions(ctx, a, user), w.endTokens(ctx, a))
	case isOwner(user):
		if err := errors.Join(w.endSessions(ctx, a, user), w.endTokens(ctx, a)); err != nil {
			return err
		}
		return fmt.Errorf("Coder user %s has only lost our tokens: Coder suspends no owners. Take the role from it", user.Username)
	default:
		if _, err := w.deleteOrSuspend(ctx, lease, a, user, w.Delete && !w.keepsAccount); err != nil {
			return err
		}
	}
	return w.endTokens(ctx, a)
}

// endSessions ends the sessions in workspace apps of a Coder user who is not suspended: they outlive the key that
// opened them by up to a day. That takes a key of the same user, which is gone when they are.
func (w *walk) endSessions(ctx context.Context, a store.Account, user coderclient.User) error {
	if user.Status != "active" { // nobody else can have any
		return nil
	}
	return w.act(new(int), a.UserID, "sessions of Coder user "+user.Username+" in workspace apps ended", func() error {
		key, err := w.Coder.CreateToken(ctx, user.ID, coderclient.NewToken{
			Name: apikey.Prefix + strings.ToLower(rand.Text()[:12]), Lifetime: time.Minute, Scope: "all",
		})
		if err != nil {
			return err
		}
		return w.Coder.LogOut(ctx, key)
	})
}

func isOwner(user coderclient.User) bool {
	return slices.ContainsFunc(user.Roles, func(r coderclient.Role) bool { return r.Name == "owner" })
}

// deleteOrSuspend reports whether the Coder user is deleted: with workspaces Coder refuses that.
func (w *walk) deleteOrSuspend(ctx context.Context, lease store.Lease, a store.Account, user coderclient.User, remove bool) (deleted bool, _ error) {
	if remove {
		err := w.act(&w.sum.Deleted, a.UserID, "Coder user "+user.Username+" deleted", func() error {
			if err := w.Coder.DeleteUser(ctx, user.ID); err != nil {
				return err
			}
			return w.Ledger.ForgetUser(ctx, lease)
		})
		if !hasWorkspaces(err) {
			return err == nil, err
		}
	}
	if user.Suspended() {
		return false, nil
	}
	return false, w.act(&w.sum.Suspended, a.UserID, "Coder user "+user.Username+" suspended", func() error {
		if err := w.Register.IntendSuspension(ctx, lease); err != nil {
			return err
		}
		_, err := w.Coder.Suspend(ctx, user.ID)
		return err
	})
}

func hasWorkspaces(err error) bool {
	answer, ok := errors.AsType[*coderclient.Error](err)
	return ok && answer.Status == http.StatusExpectationFailed
}

// deleteLedgers deletes the keys that only the ledger knows as ours: adopted ones have other
// names, and Coder may hide those that have expired.
func (w *walk) deleteLedgers(ctx context.Context, a store.Account) error {
	if a.KeyID != "" && !a.KeyRefused && !w.dry {
		if err := w.Coder.DeleteKey(ctx, a.CoderUserID, a.KeyID); err != nil && !errors.Is(err, coderclient.ErrNotFound) {
			return err
		}
	}
	retired, err := w.Ledger.Retired(ctx, a.UserID)
	for _, key := range retired {
		if err == nil && !w.dry {
			err = w.Keys.DeleteOld(ctx, key)
		}
	}
	return err
}

// removeOrphan removes all that a sign-up left behind which was rolled back. Its e-mail address
// would else keep the person's next try from getting an account.
func (w *walk) removeOrphan(ctx context.Context, lease store.Lease, a store.Account) error {
	user, err := w.orphan(ctx, a)
	if err == nil && user.ID == uuid.Nil && a.CoderUserID != uuid.Nil {
		err = w.deleteTokens(ctx, a, func(coderclient.Key) bool { return true })
	}
	if err != nil {
		return err
	}
	if user.ID != uuid.Nil {
		a.CoderUserID = user.ID
		if !w.Delete && !w.fresh(user) {
			return w.offboard(ctx, lease, a) // somebody has used it: what there is stays
		}
		deleted, err := w.deleteOrSuspend(ctx, lease, a, user, true)
		if err != nil {
			return err
		}
		if !deleted {
			return w.offboard(ctx, lease, a)
		}
	}
	return w.act(&w.sum.Orphans, a.UserID, "sign-up that was rolled back: removed", func() error { return w.Register.Remove(ctx, lease) })
}

// orphan finds the Coder user of a sign-up that was rolled back: the one in the ledger, or one
// that a crash kept from being written there. A zero user: there is none that is ours.
func (w *walk) orphan(ctx context.Context, a store.Account) (coderclient.User, error) {
	w.asked = true
	if a.CoderUserID != uuid.Nil {
		user, err := w.Coder.User(ctx, a.CoderUserID.String())
		if errors.Is(err, coderclient.ErrNotFound) || a.Linked || len(user.Roles) > 0 {
			return coderclient.User{}, nil
		}
		return user, err
	}
	for _, name := range w.Names.Ours(a.UserID) {
		user, err := w.Coder.User(ctx, name)
		if errors.Is(err, coderclient.ErrNotFound) {
			continue
		}
		if err != nil {
			return coderclient.User{}, err
		}
		if unused, err := w.unused(ctx, a, user); err != nil || unused {
			return user, err
		}
	}
	return coderclient.User{}, nil
}

// fresh: made for this very ledger row, and nobody ever used it.
func (w *walk) fresh(user coderclient.User) bool {
	since := user.CreatedAt.Sub(w.created)
	return user.LastSeenAt.Unix() <= 0 && since >= -time.Minute && since <= w.Timeout+w.LockPatience
}

// unused: made while we tried to make one of that name, nobody's, and nobody ever used it.
func (w *walk) unused(ctx context.Context, a store.Account, user coderclient.User) (bool, error) {
	if len(user.Roles) > 0 || !w.fresh(user) {
		return false, nil
	}
	_, err := w.Ledger.OwnerOf(ctx, user.ID)
	if !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	tokens, err := w.Coder.Tokens(ctx, user.ID)
	return err == nil && len(tokens) == 0, err
}

// errUnderWay: Coder is at work on a workspace that is to stop, and has to be asked again.
var errUnderWay = errors.New("workspaces are being stopped")

// stopWorkspaces ends what goes on without its owner: a workspace runs on when they are suspended, and its agent
// still gets their git key. Until all are down that is a departure, whatever fails.
func (w *walk) stopWorkspaces(ctx context.Context, _ store.Lease, a store.Account) error {
	if a.CoderUserID == uuid.Nil {
		return w.allStopped(ctx, a)
	}
	w.asked = true
	owner, err := w.Coder.User(ctx, a.CoderUserID.String())
	if errors.Is(err, coderclient.ErrNotFound) {
		return w.allStopped(ctx, a)
	}
	if err != nil {
		return err
	}
	list, err := w.Coder.Workspaces(ctx, owner)
	if err != nil {
		return err
	}
	var faults []error
	up := false
	for _, workspace := range list {
		if workspace.Down() {
			continue
		}
		up = true
		if !workspace.Building() {
			faults = append(faults, w.stopWorkspace(ctx, a, workspace))
		}
	}
	switch err := errors.Join(faults...); {
	case err != nil:
		return err
	case up:
		return errUnderWay
	}
	return w.allStopped(ctx, a)
}

func (w *walk) stopWorkspace(ctx context.Context, a store.Account, workspace coderclient.Workspace) error {
	err := w.act(&w.sum.Stopped, a.UserID, "workspace "+workspace.Name+" stopped", func() error {
		return w.Coder.StopWorkspace(ctx, workspace.ID)
	})
	if errors.Is(err, coderclient.ErrExists) { // somebody has just begun another build
		return nil
	}
	return err
}

func (w *walk) allStopped(ctx context.Context, a store.Account) error {
	if w.dry {
		return nil
	}
	return w.Register.Stopped(ctx, a.UserID)
}
