package hook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"coderhook/coderclient"
	"coderhook/hook/lease"
	"coderhook/store"

	"github.com/google/uuid"
)

// revokeTask is the name of the task that only one process at a time may do.
const revokeTask = "revoke"

// Everybody revokes the keys of all accounts, in the order of their users. Broken off, the next
// call goes on behind the last account that was done, unless it is to begin anew. Each is told of.
func (r *Revoker) Everybody(ctx context.Context, anew bool, each func(Revocation, error)) error {
	task := store.Task{Name: revokeTask, Owner: r.Instance + "/" + strings.ToLower(rand.Text()[:8])}
	turn, err := lease.Take(ctx, r.Register, task, r.Log)
	if errors.Is(err, store.ErrLeased) {
		return errors.New("somebody else is revoking everybody's keys")
	}
	if err != nil {
		return err
	}
	defer turn.End(ctx)
	at, err := r.Book.Progress(ctx, task)
	if err != nil {
		return err
	}
	if anew || at.StartedAt.IsZero() {
		at = store.Progress{StartedAt: r.Now()}
	}
	held, stop := turn.Keep(ctx)
	defer stop()
	if err := r.onward(held, task, at, each); err != nil {
		return err
	}
	turn.Finished = r.Now()
	return r.Book.SaveProgress(ctx, task, store.Progress{})
}

// onward goes from the account that was reached to the last. One for which Coder has no sensible answer is reported,
// and not counted as reached, so that a run that goes on from there tries it again.
func (r *Revoker) onward(ctx context.Context, task store.Task, at store.Progress, each func(Revocation, error)) error {
	unavailable := 0
	for after := at.Reached; ; {
		entries, err := r.Register.Page(ctx, after, pageSize)
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, entry := range entries {
			after = entry.UserID
			done, err := r.patiently(ctx, entry.UserID)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !errors.Is(err, ErrNothingToRevoke) {
				each(done, err)
			}
			if errors.Is(err, coderclient.ErrUnavailable) {
				if unavailable++; unavailable >= unavailableInARow || !r.Coder.Available() {
					return fmt.Errorf("broken off; the same command goes on from here: %w", err)
				}
				continue
			}
			unavailable, at.Reached = 0, entry.UserID
			if err := r.Book.SaveProgress(ctx, task, at); err != nil {
				return err
			}
		}
	}
}

// patiently sits out Coder's rate limit.
func (r *Revoker) patiently(ctx context.Context, user uuid.UUID) (Revocation, error) {
	w := &walk{Reconciler: r.Reconciler}
	done, err := r.Revoke(ctx, user)
	for n := 0; n < rateLimitPatience && errors.Is(err, coderclient.ErrRateLimited); n++ {
		if err := w.sitOut(ctx, err); err != nil {
			return done, err
		}
		done, err = r.Revoke(ctx, user)
	}
	return done, err
}
