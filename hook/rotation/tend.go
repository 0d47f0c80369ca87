package rotation

import (
	"context"

	"coderhook/hook/apikey"

	"github.com/google/uuid"
)

// Tend looks after a key that an answer has just carried, in the background: renews it when it
// is time, learns about one that the ledger does not know, and else tries it now and then.
func (k *Rotator) Tend(r Subject, state apikey.State) {
	now := k.Now()
	longer := apikey.TokenLife(r.Until, now) > r.Known.TokenLife
	check := now.Sub(r.Known.KeyCheckedAt) >= k.CheckInterval
	if state == apikey.Good && !longer && !check {
		return
	}
	k.tend(r, state, check)
}

// tend does it. What it needs is kept only for those mints that have something to do.
func (k *Rotator) tend(r Subject, state apikey.State, check bool) {
	k.begin(r.UserID, func() {
		defer k.endCare(r.UserID)
		ctx, cancel := context.WithTimeout(k.base, k.Timeout)
		defer cancel()
		if k.takeCare(ctx) != nil {
			return // there will be another mint
		}
		defer func() { <-k.Slots }()
		if err := k.Keys.NoteTokenLife(ctx, r.wanted()); err != nil {
			k.Log.Warn().Err(err).Stringer("user_id", r.UserID).Msg("life of the access token not noted")
		}
		if k.Coder.Available() {
			k.lookAfter(ctx, r, state, check)
		}
	})
}

// begin does the work in the background, unless somebody is at it for this user, or we stop. Under the lock, as Stop
// must not begin to wait in between.
func (k *Rotator) begin(user uuid.UUID, work func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopping || k.tended[user] {
		return
	}
	k.tended[user] = true
	k.running.Go(work)
}

func (k *Rotator) endCare(user uuid.UUID) {
	if fault := recover(); fault != nil {
		k.Log.Error().Stringer("user_id", user).Interface("panic", fault).Msg("looking after a key panicked")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tended, user)
}

func (k *Rotator) takeCare(ctx context.Context) error {
	select {
	case k.Slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lookAfter also clears away what was replaced, when the time for a check has come. A mint's look-up does not ask
// whether there is any: nearly always there is none, and everybody would pay for the question.
func (k *Rotator) lookAfter(ctx context.Context, r Subject, state apikey.State, checkDue bool) {
	switch state {
	case apikey.Unknown:
		k.adopt(ctx, r)
	case apikey.Aging, apikey.GivenOut:
		k.Renew(ctx, r)
	default:
		k.check(ctx, r)
	}
	if checkDue {
		k.Keys.DeleteRetired(ctx, r.UserID)
	}
}
