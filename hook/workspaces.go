package hook

import (
	"context"
	"errors"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

// errUnderWay: Coder is at work on a workspace that is to stop, and has to be asked again.
var errUnderWay = errors.New("workspaces are being stopped")

// stopWorkspaces ends what goes on without its owner: a workspace runs on when they are suspended, and its agent
// still gets their git key. Until all are down that is a departure, whatever fails.
func (w *walk) stopWorkspaces(ctx context.Context, _ store.Lease, a store.Account) error {
	if a.CoderUserID == uuid.Nil {
		return w.allStopped(ctx, a)
	}
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
