package provision

import (
	"context"
	"errors"
	"time"

	"coderhook/hook/account"
	"coderhook/hook/apikey"
	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
)

// What can become of storing a key.
const (
	writeStored     = "stored"
	writeRolledBack = "rolled back"
	writeUserGone   = "user gone" // an account that had its user
	writeLeaseLost  = "lease lost"
	writeRefused    = "refused"
	writeGivenUp    = "given up"
)

// persist writes the key to ledger and profile, after the answer and for as long as the
// sign-in's own transaction keeps the user uncommitted or the profile locked.
func (p *Provisioner) persist(ctx context.Context, j *job, m made) {
	p.metrics.unstored.Inc()
	defer p.metrics.unstored.Dec()
	select {
	case <-j.answered:
	case <-ctx.Done():
	}
	if m.kept {
		p.recordKept(ctx, j, m.key)
		return
	}
	m.key.Unseen = !p.settleCarried(j)
	started := time.Now()
	for wait := p.Poll; ; wait = min(2*wait, time.Second) {
		err := p.Ledger.StoreKey(ctx, j.lease, m.key)
		if result := p.settle(ctx, j, m, err, time.Since(started)); result != "" {
			p.metrics.stored.WithLabelValues(result).Inc()
			return
		}
		_ = pace.Sleep(ctx, wait) // that the context has ended, settle sees
	}
}

// settle does what a try to store the key calls for, and names the result; "" is to try again.
func (p *Provisioner) settle(ctx context.Context, j *job, m made, err error, waited time.Duration) (result string) {
	log := p.Log.With().Stringer("user_id", j.User).Str("key_id", m.key.ID).Logger()
	switch {
	case err == nil:
		log.Info().Time("key_expires_at", m.key.ExpiresAt).Dur("waited_ms", waited).Msg("key stored")
		return writeStored
	case errors.Is(err, store.ErrNoUser) && (waited > p.PersistPatience || p.departed(ctx, j.User)):
		return p.undo(ctx, j, m, err)
	case errors.Is(err, store.ErrLeaseLost), errors.Is(context.Cause(ctx), store.ErrLeaseLost):
		log.Warn().Msg("another replica took over: our Coder token is retired")
		p.retire(ctx, j, m)
		return writeLeaseLost
	case errors.Is(err, store.ErrProfile):
		return p.refused(ctx, j, m, err)
	case waited > p.LockPatience, ctx.Err() != nil:
		log.Error().Err(err).Msg("key not stored: the next token mint makes another")
		return writeGivenUp
	}
	log.Debug().Err(err).Msg("key not stored yet")
	return ""
}

// departed reports whether the user is not one who is yet to be committed: the deletion was seen. To wait
// would keep the lease from whoever is to off-board them.
func (p *Provisioner) departed(ctx context.Context, user uuid.UUID) bool {
	found, err := store.OneAuthUser(p.Ledger.AuthUsers(ctx, []uuid.UUID{user}))
	return err == nil && !found.Exists && found.Departed
}

// recordKept needs no write to the profile.
func (p *Provisioner) recordKept(ctx context.Context, j *job, key store.Key) {
	if err := p.Ledger.RecordKey(ctx, j.lease, key); err != nil {
		p.Log.Warn().Err(err).Stringer("user_id", j.User).Str("key_id", key.ID).Msg("expiry not recorded")
		return
	}
	p.Log.Info().Stringer("user_id", j.User).Str("key_id", key.ID).Time("key_expires_at", key.ExpiresAt).Msg("key kept")
}

// refused: the product's table does not take the key. The token that was minted carries it for
// as long as it lives.
func (p *Provisioner) refused(ctx context.Context, j *job, m made, err error) (result string) {
	p.Log.Error().Err(err).Stringer("user_id", j.User).Str("key_id", m.key.ID).Msg("the profiles table refuses the key: see coderhook doctor")
	p.retire(ctx, j, m)
	p.record(ctx, j, store.Conflict, err)
	return writeRefused
}

// undo takes back what was made for a user who is not there. An account that this very job made
// is deleted with its key: it has no workspaces, and it would keep its e-mail from the person's
// next try. Any other account had its user: who has left is for reconciling to off-board.
func (p *Provisioner) undo(ctx context.Context, j *job, m made, err error) (result string) {
	found, unknown := store.OneAuthUser(p.Ledger.AuthUsers(ctx, []uuid.UUID{j.User}))
	if unknown != nil || found.Exists {
		// It is another foreign key that is violated, or we can't know.
		return p.refused(ctx, j, m, errors.Join(err, unknown))
	}
	log := p.Log.With().Stringer("user_id", j.User).Str("key_id", m.key.ID).Logger()
	log.Warn().Bool("account_deleted", m.user.Created).Msg("there is no such user: the Coder token is deleted")
	p.Keys.Discard(ctx, j.User, m.user.ID, m.key.ID)
	if !m.user.Created {
		return writeUserGone
	}
	if err := p.Coder.DeleteUser(ctx, m.user.ID); err != nil {
		log.Warn().Err(err).Msg("Coder user of a rolled-back sign-up not deleted")
	}
	if err := p.Ledger.Orphan(ctx, j.lease); err != nil {
		log.Warn().Err(err).Msg("account not marked as orphaned")
	}
	return writeRolledBack
}

// fail records why there is no key, for the next mint and for the operator.
func (p *Provisioner) fail(ctx context.Context, j *job, err error) {
	status := store.Pending
	switch {
	case errors.Is(err, account.ErrSuspended):
		status = store.Suspended
	case errors.Is(err, account.ErrConflict):
		status = store.Conflict
	}
	level := p.Log.Warn()
	if errors.Is(err, account.ErrConflict) {
		level = p.Log.Error()
	}
	level.Err(err).Stringer("user_id", j.User).Str("status", string(status)).Msg("no key")
	p.record(ctx, j, status, err)
}

func (p *Provisioner) record(ctx context.Context, j *job, status store.Status, reason error) {
	if err := p.Ledger.RecordFailure(ctx, j.lease, status, reason.Error()); err != nil {
		p.Log.Warn().Err(err).Stringer("user_id", j.User).Msg("reason not recorded")
	}
}

// retire keeps a key alive that came too late to be the account's: the answer has carried it.
func (p *Provisioner) retire(ctx context.Context, j *job, m made) {
	p.Keys.Retire(ctx, j.User, m.user.ID, m.key.ID, apikey.CarriedFor(j.Known))
}
