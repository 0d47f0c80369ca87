package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/lease"
	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
)

// Departures is where the database writes down who leaves and who comes back, as it happens.
type Departures interface {
	TakeDepartures(ctx context.Context, limit int, hold time.Duration) ([]store.Departure, error)
	FinishDepartures(ctx context.Context, ids ...int64) error
	PostponeDeparture(ctx context.Context, id int64, wait time.Duration, cause error) error
	ForgetDepartures(ctx context.Context) error
	Watched(ctx context.Context) (bool, error)
	Changes(ctx context.Context, limit int) (store.Changes, error)
}

const (
	watchPause        = 500 * time.Millisecond // between two looks of a replica, give or take a third
	departuresTaken   = 32                     // at a time, by one replica
	departuresAtOnce  = 4                      // that are dealt with
	busyPause         = 250 * time.Millisecond // before one is tried again whose account somebody is at work on
	underWayPause     = 2 * time.Second        // and one whose workspaces are being stopped
	longestDeparture  = 5 * time.Minute        // between two tries of one that fails
	departuresSweep   = time.Minute            // between two sweeps of what was dealt with long ago
	firstDepartureTry = time.Second
)

// Watch deals with departures as they happen, until ctx ends. Every replica does so: what one has taken is hidden
// from the others for as long as a lease lasts, so that nothing is lost with a replica that is killed.
func (r *Reconciler) Watch(ctx context.Context) {
	failing := false
	var swept time.Time
	for pace.Sleep(ctx, about(watchPause)) == nil {
		err := r.TakeUp(ctx)
		if err == nil && time.Since(swept) > departuresSweep {
			swept = time.Now()
			err = r.Register.ForgetDepartures(ctx)
		}
		if err != nil && !failing && ctx.Err() == nil { // a database that is down is down for many looks
			r.Log.Warn().Err(err).Msg("not known who leaves")
		}
		failing = err != nil
	}
}

// about keeps replicas from looking all at the same moment.
func about(d time.Duration) time.Duration { return d*2/3 + rand.N(d*2/3) }

// TakeUp deals with all that is due. While Coder is down it waits for it: what was taken could only fail.
func (r *Reconciler) TakeUp(ctx context.Context) error {
	for r.Coder.Available() {
		taken, err := r.Register.TakeDepartures(ctx, departuresTaken, r.LeaseTTL)
		if err != nil || len(taken) == 0 {
			return err
		}
		if err := r.dealWith(ctx, taken); err != nil {
			return err
		}
	}
	return nil
}

// dealWith finishes at once the departures of users who have no account, and looks into the others. A departure that
// is not finished comes up again by itself.
func (r *Reconciler) dealWith(ctx context.Context, taken []store.Departure) error {
	ids := make([]uuid.UUID, len(taken))
	for i, d := range taken {
		ids[i] = d.UserID
	}
	entries, err := r.Register.Entries(ctx, ids)
	if err != nil {
		return err
	}
	users, err := (&walk{Reconciler: r}).users(ctx, entries)
	if err != nil {
		return err
	}
	known := make(map[uuid.UUID]store.Entry, len(entries))
	for _, e := range entries {
		known[e.UserID] = e
	}
	var strangers []int64
	var working sync.WaitGroup
	slots := make(chan struct{}, departuresAtOnce)
	for _, d := range taken {
		e, ours := known[d.UserID]
		if !ours {
			strangers = append(strangers, d.ID)
			continue
		}
		slots <- struct{}{}
		working.Go(func() {
			defer func() { <-slots }()
			r.depart(ctx, d, e, users[d.UserID])
		})
	}
	working.Wait()
	if len(strangers) == 0 {
		return nil
	}
	return r.Register.FinishDepartures(ctx, strangers...)
}

// depart deals with one departure, and says what becomes of it. One that fails is tried again ever more rarely,
// and holds up no other.
func (r *Reconciler) depart(ctx context.Context, d store.Departure, e store.Entry, user store.AuthUser) {
	wait, err := r.departed(ctx, d, e, user)
	ctx, cancel := lease.Detach(ctx)
	defer cancel()
	log := r.Log.With().Stringer("user_id", d.UserID).Str("what", d.What).Logger()
	if err != nil {
		log.Error().Err(err).Int("tries", d.Tries+1).Dur("again_in_ms", wait).Msg("departure not dealt with")
	}
	if wait > 0 || err != nil {
		err = r.Register.PostponeDeparture(ctx, d.ID, wait, err)
	} else {
		log.Debug().Dur("waited_ms", time.Since(d.At)).Msg("departure dealt with")
		err = r.Register.FinishDepartures(ctx, d.ID)
	}
	if err != nil { // it comes up again by itself
		log.Warn().Err(err).Msg("what became of a departure was not written down")
	}
}

// departed does what auth.users calls for; the departure only says that it is time to look. It returns after how
// long it is to be tried again, which is no failure without an error.
func (r *Reconciler) departed(ctx context.Context, d store.Departure, e store.Entry, user store.AuthUser) (wait time.Duration, err error) {
	w := &walk{Reconciler: r, created: e.CreatedAt}
	defer func() {
		if fault := recover(); fault != nil {
			r.Log.Error().Stringer("user_id", d.UserID).Interface("panic", fault).Bytes("stack", debug.Stack()).Msg("off-boarding panicked")
			wait, err = longestDeparture, fmt.Errorf("internal error")
		}
		r.Metrics.changed(w.sum)
	}()
	working, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	switch {
	case !user.Living(r.Now()), awaited(e.Account):
		err = w.entry(working, e, user)
	case time.Since(d.At) > r.LeaseTTL: // whoever took it before was killed at it
		err = r.TryKey(working, e.UserID)
	}
	limited, _ := errors.AsType[*coderclient.Error](err)
	switch {
	case ctx.Err() != nil: // we are stopping: for another replica
		return time.Millisecond, nil
	case errors.Is(err, errUnderWay):
		return underWayPause, nil
	case errors.Is(err, coderclient.ErrRateLimited):
		return max(limited.RetryAfter, firstDepartureTry), nil
	case err != nil && !r.Coder.Available():
		return firstDepartureTry, nil
	case err != nil:
		return min(firstDepartureTry<<min(d.Tries, 10), longestDeparture), err
	case w.sum.Busy > 0:
		return busyPause, nil
	}
	return 0, nil
}
