package rotation

import (
	"context"
	"errors"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/hook/metrics"
	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

// check tries the key in Coder, once per interval among all replicas.
func (k *Rotator) check(ctx context.Context, r Subject) {
	err := k.Ledger.BeginCheck(ctx, r.UserID, r.Known.KeyID, k.Now(), k.CheckInterval)
	if errors.Is(err, store.ErrSuperseded) {
		return
	}
	result := checkFailed
	if err == nil {
		result, err = k.tryKey(ctx, r)
	}
	if err != nil {
		result = checkFailed
		k.Log.Debug().Err(err).Stringer("user_id", r.UserID).Str("key_id", r.Known.KeyID).Msg("key not checked")
	}
	k.Checks.WithLabelValues(result).Inc()
}

// What a check can come to.
const (
	checkOK        = "ok"
	checkRefused   = "refused"
	checkSuspended = "suspended"
	checkFailed    = "failed" // there is no verdict, or it could not be written down
)

// tryKey finds out whether the key still works, for the user whose it was.
func (k *Rotator) tryKey(ctx context.Context, r Subject) (result string, _ error) {
	known := r.Known
	log := k.Log.With().Stringer("user_id", r.UserID).Str("key_id", known.KeyID).Logger()
	user, err := k.Coder.Me(ctx, known.APIKey)
	switch {
	case errors.Is(err, coderclient.ErrInactive):
		log.Error().Msg("the user is suspended in Coder: no keys until they are activated there")
		return checkSuspended, k.Ledger.MarkSuspended(ctx, r.UserID, known.KeyID, account.ErrConflict.Error()+": "+account.ErrSuspended.Error())
	case errors.Is(err, coderclient.ErrUnauthorized):
		if err := k.confirmDead(ctx, known.APIKey); err != nil {
			return checkFailed, err
		}
		log.Warn().Msg("Coder does not take the key any more: the next mint makes another")
		return checkRefused, k.Ledger.RefuseKey(ctx, r.UserID, known.KeyID, k.Now(), "Coder does not take the key any more")
	case errors.Is(err, coderclient.ErrNotFound):
		return checkOK, nil // a key whose scope does not include reading its user
	case err != nil:
		return checkFailed, err
	case user.ID != known.CoderUserID:
		log.Error().Str("coder_user", user.Username).Msg("the key is another Coder user's: the next mint makes another")
		return checkRefused, k.Ledger.RefuseKey(ctx, r.UserID, known.KeyID, k.Now(), "the key is of Coder user "+user.Username)
	}
	if roles, err := k.Roles.OfKey(ctx, user, known.APIKey); err != nil || len(roles) > 0 {
		return k.refuseChecked(ctx, r, user, roles, err)
	}
	if user.Username != known.CoderUsername {
		return checkOK, k.Ledger.Rename(ctx, r.UserID, user.ID, user.Username)
	}
	return checkOK, nil
}

// refuseChecked: the account was given roles after its key was made. The next mint says what an operator has to do.
func (k *Rotator) refuseChecked(ctx context.Context, r Subject, user coderclient.User, roles []string, err error) (result string, _ error) {
	if err != nil {
		return checkFailed, err
	}
	reason := &account.RolesError{User: user, Roles: roles}
	k.Log.Error().Err(reason).Stringer("user_id", r.UserID).Str("key_id", r.Known.KeyID).Msg("the key is deleted, and there is no other")
	if err := k.Ledger.RefuseKey(ctx, r.UserID, r.Known.KeyID, k.Now(), account.ErrConflict.Error()+": "+reason.Error()); err != nil {
		return checkFailed, err
	}
	k.RolesRefused.Inc()
	Note(ctx, k.Lookups, k.Log, r.Known, store.RoleRefused, reason.Error())
	return checkRefused, k.Keys.DeleteOurs(ctx, r.Known)
}

var errDoubtful = errors.New("Coder took the key at the second try")

// confirmDead asks twice before a key is thrown away, and whether Coder takes the owner's
// token meanwhile: before 2026 it also answers 401 when its own database fails.
func (k *Rotator) confirmDead(ctx context.Context, key string) error {
	if err := pace.Sleep(ctx, k.ConfirmAfter); err != nil {
		return err
	}
	_, err := k.Coder.Me(ctx, key)
	if err == nil {
		return errDoubtful
	}
	if !errors.Is(err, coderclient.ErrUnauthorized) {
		return err
	}
	_, err = k.Coder.DefaultOrganization(ctx)
	return err
}

// Doubt checks a key at once that Coder has just refused elsewhere: the refresh that its bearer is
// asked for then brings another. What the user has no more, a refresh replaces anyway.
func (k *Rotator) Doubt(ctx context.Context, r Subject, key string) {
	known, err := k.Lookups.LookupSets(ctx, r.UserID)
	if err != nil {
		return
	}
	var has bool
	if r.Known, has = known.Holding(key); !has {
		return
	}
	if r.Known.KeyID != coderclient.KeyID(key) {
		k.adopt(ctx, r)
		return
	}
	result, err := k.tryKey(ctx, r)
	if err != nil {
		result = checkFailed
		k.Log.Debug().Err(err).Stringer("user_id", r.UserID).Str("key_id", r.Known.KeyID).Msg("key not checked")
	}
	k.Checks.WithLabelValues(result).Inc()
}

// TryStored checks the stored keys of a user who was let off: off-boarding that was broken off may have ended them
// without the ledger knowing.
func (k *Rotator) TryStored(ctx context.Context, user uuid.UUID) error {
	known, err := k.Lookups.LookupSets(ctx, user)
	if err != nil {
		return err
	}
	err = k.tryStored(ctx, user, "")
	for _, key := range known.Sets {
		if err == nil {
			err = k.tryStored(ctx, user, key.Set)
		}
	}
	return err
}

// tryStored checks one of them. Whoever has the lease meanwhile may have come for something else.
func (k *Rotator) tryStored(ctx context.Context, user uuid.UUID, set string) error {
	for {
		known, err := k.Lookups.LookupSets(ctx, user)
		known = known.In(set)
		if err != nil || known.Distrust() != nil || known.KeyID == "" || known.KeyRefused || known.KeyID != coderclient.KeyID(known.APIKey) {
			return err
		}
		result, err := k.tryKey(ctx, Subject{UserID: user, Known: known})
		if err != nil {
			result = checkFailed
		}
		k.Checks.WithLabelValues(result).Inc()
		if !errors.Is(err, store.ErrSuperseded) || pace.Sleep(ctx, k.Poll) != nil {
			return err
		}
	}
}

// Checks counts keys that were tried in Coder, by what it said.
func Checks(r *metrics.Registry) *prometheus.CounterVec {
	checks := r.Counters("coderhook_key_checks_total", "Keys that were tried in Coder, by what it said.", "result")
	metrics.Zero(checks, checkOK, checkRefused, checkSuspended, checkFailed)
	return checks
}
