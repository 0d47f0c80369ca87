package hook

import (
	"context"
	"errors"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/hook/apikey"
	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
)

// Observations is where it is written down what was learnt of a key after the answer. None of
// it takes a lease: what comes too late is store.ErrSuperseded and changes nothing.
type Observations interface {
	BeginCheck(ctx context.Context, user uuid.UUID, keyID string, now time.Time, interval time.Duration) error
	RefuseKey(ctx context.Context, user uuid.UUID, keyID string, now time.Time, reason string) error
	RefuseUnknownKey(ctx context.Context, user uuid.UUID, keyID string, now time.Time, reason string) error
	MarkSuspended(ctx context.Context, user uuid.UUID, keyID, reason string) error
	Rename(ctx context.Context, user, coderUser uuid.UUID, username string) error
	Adopt(ctx context.Context, adoption store.Adoption) error
	RecordTokenLife(ctx context.Context, user uuid.UUID, life time.Duration) error
	Retire(ctx context.Context, key store.Retired) error
	Retired(ctx context.Context, user uuid.UUID) ([]store.Retired, error)
	ForgetRetired(ctx context.Context, keyID string) error
}

// tend looks after a key that an answer has just carried, in the background: renews it when it
// is time, learns about one that the ledger does not know, and else tries it now and then.
func (p *Provisioner) tend(r request, state apikey.State) {
	now := p.Now()
	longer := apikey.TokenLife(r.until, now) > r.known.TokenLife
	check := now.Sub(r.known.KeyCheckedAt) >= p.CheckInterval
	if state == apikey.Good && !longer && !check || !p.beginCare(r.user) {
		return
	}
	p.running.Go(func() {
		defer p.endCare(r.user)
		ctx, cancel := context.WithTimeout(p.base, p.Timeout)
		defer cancel()
		if p.takeCare(ctx) != nil {
			return // there will be another mint
		}
		defer func() { <-p.care }()
		if err := p.Keys.NoteTokenLife(ctx, r.wanted()); err != nil {
			p.Log.Warn().Err(err).Stringer("user_id", r.user).Msg("life of the access token not noted")
		}
		if p.Coder.Available() {
			p.lookAfter(ctx, r, state, check)
		}
	})
}

// beginCare reports whether there is nobody at it for this user.
func (p *Provisioner) beginCare(user uuid.UUID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping || p.tended[user] {
		return false
	}
	p.tended[user] = true
	return true
}

func (p *Provisioner) endCare(user uuid.UUID) {
	if fault := recover(); fault != nil {
		p.Log.Error().Stringer("user_id", user).Interface("panic", fault).Msg("looking after a key panicked")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tended, user)
}

func (p *Provisioner) takeCare(ctx context.Context) error {
	select {
	case p.care <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lookAfter also clears away what was replaced, when the time for a check has come. A mint's look-up does not ask
// whether there is any: nearly always there is none, and everybody would pay for the question.
func (p *Provisioner) lookAfter(ctx context.Context, r request, state apikey.State, checkDue bool) {
	switch state {
	case apikey.Unknown:
		p.adopt(ctx, r)
	case apikey.Aging:
		p.renew(ctx, r)
	default:
		p.check(ctx, r)
	}
	if checkDue {
		p.Keys.DeleteRetired(ctx, r.user)
	}
}

// renew starts a job that nobody waits for: the old key is handed out until the new one is stored.
// When many keys age at the same time, those who wait for their first one come before them.
func (p *Provisioner) renew(ctx context.Context, r request) {
	r.renew = true
	if p.refuse(ctx, r) != nil {
		return
	}
	select {
	case p.background <- struct{}{}:
	default:
		return // there will be another mint
	}
	if _, isNew, err := p.join(p.base, r); err != nil || !isNew { // somebody is at it, or we are stopping
		<-p.background
	}
}

// check tries the key in Coder, once per interval among all replicas.
func (p *Provisioner) check(ctx context.Context, r request) {
	err := p.Ledger.BeginCheck(ctx, r.user, r.known.KeyID, p.Now(), p.CheckInterval)
	if errors.Is(err, store.ErrSuperseded) {
		return
	}
	result := checkFailed
	if err == nil {
		result, err = p.tryKey(ctx, r)
	}
	if err != nil {
		result = checkFailed
		p.Log.Debug().Err(err).Stringer("user_id", r.user).Str("key_id", r.known.KeyID).Msg("key not checked")
	}
	p.Metrics.checks.WithLabelValues(result).Inc()
}

// What a check can come to.
const (
	checkOK        = "ok"
	checkRefused   = "refused"
	checkSuspended = "suspended"
	checkFailed    = "failed" // there is no verdict, or it could not be written down
)

// tryKey finds out whether the key still works, for the user whose it was.
func (p *Provisioner) tryKey(ctx context.Context, r request) (result string, _ error) {
	known := r.known
	log := p.Log.With().Stringer("user_id", r.user).Str("key_id", known.KeyID).Logger()
	user, err := p.Coder.Me(ctx, known.APIKey)
	switch {
	case errors.Is(err, coderclient.ErrInactive):
		log.Error().Msg("the user is suspended in Coder: no keys until they are activated there")
		return checkSuspended, p.Ledger.MarkSuspended(ctx, r.user, known.KeyID, account.ErrConflict.Error()+": "+account.ErrSuspended.Error())
	case errors.Is(err, coderclient.ErrUnauthorized):
		if err := p.confirmDead(ctx, known.APIKey); err != nil {
			return checkFailed, err
		}
		log.Warn().Msg("Coder does not take the key any more: the next mint makes another")
		return checkRefused, p.Ledger.RefuseKey(ctx, r.user, known.KeyID, p.Now(), "Coder does not take the key any more")
	case errors.Is(err, coderclient.ErrNotFound):
		return checkOK, nil // a key whose scope does not include reading its user
	case err != nil:
		return checkFailed, err
	case user.ID != known.CoderUserID:
		log.Error().Str("coder_user", user.Username).Msg("the key is another Coder user's: the next mint makes another")
		return checkRefused, p.Ledger.RefuseKey(ctx, r.user, known.KeyID, p.Now(), "the key is of Coder user "+user.Username)
	}
	if roles, err := p.Accounts.Roles.OfKey(ctx, user, known.APIKey); err != nil || len(roles) > 0 {
		return p.refuseChecked(ctx, r, user, roles, err)
	}
	if user.Username != known.CoderUsername {
		return checkOK, p.Ledger.Rename(ctx, r.user, user.ID, user.Username)
	}
	return checkOK, nil
}

// refuseChecked: the account was given roles after its key was made. The next mint says what an operator has to do.
func (p *Provisioner) refuseChecked(ctx context.Context, r request, user coderclient.User, roles []string, err error) (result string, _ error) {
	if err != nil {
		return checkFailed, err
	}
	reason := &account.RolesError{User: user, Roles: roles}
	p.Log.Error().Err(reason).Stringer("user_id", r.user).Str("key_id", r.known.KeyID).Msg("the key is deleted, and there is no other")
	if err := p.Ledger.RefuseKey(ctx, r.user, r.known.KeyID, p.Now(), account.ErrConflict.Error()+": "+reason.Error()); err != nil {
		return checkFailed, err
	}
	p.Metrics.rolesRefused.Inc()
	p.note(ctx, r.known, store.RoleRefused, reason.Error())
	return checkRefused, p.Keys.DeleteOurs(ctx, r.known)
}

var errDoubtful = errors.New("Coder took the key at the second try")

// confirmDead asks twice before a key is thrown away, and whether Coder takes the owner's
// token meanwhile: before 2026 it also answers 401 when its own database fails.
func (p *Provisioner) confirmDead(ctx context.Context, key string) error {
	if err := pace.Sleep(ctx, p.ConfirmAfter); err != nil {
		return err
	}
	_, err := p.Coder.Me(ctx, key)
	if err == nil {
		return errDoubtful
	}
	if !errors.Is(err, coderclient.ErrUnauthorized) {
		return err
	}
	_, err = p.Coder.DefaultOrganization(ctx)
	return err
}

// doubt checks a key at once that Coder has just refused elsewhere: the refresh that its bearer is
// asked for then brings another. What is not in the profile any more, a refresh replaces anyway.
func (p *Provisioner) doubt(ctx context.Context, r request, key string) {
	var err error
	if r.known, err = p.Ledger.Lookup(ctx, r.user); err != nil || r.known.APIKey != key {
		return
	}
	if r.known.KeyID != coderclient.KeyID(key) {
		p.adopt(ctx, r)
		return
	}
	result, err := p.tryKey(ctx, r)
	if err != nil {
		result = checkFailed
		p.Log.Debug().Err(err).Stringer("user_id", r.user).Str("key_id", r.known.KeyID).Msg("key not checked")
	}
	p.Metrics.checks.WithLabelValues(result).Inc()
}

// tryStored checks the stored key of a user who was let off: off-boarding that was broken off may have ended it
// without the ledger knowing. Whoever has the lease meanwhile may have come for something else.
func (p *Provisioner) tryStored(ctx context.Context, user uuid.UUID) error {
	for {
		known, err := p.Ledger.Lookup(ctx, user)
		if err != nil || known.Distrust() != nil || known.KeyID == "" || known.KeyRefused || known.KeyID != coderclient.KeyID(known.APIKey) {
			return err
		}
		result, err := p.tryKey(ctx, request{user: user, known: known})
		if err != nil {
			result = checkFailed
		}
		p.Metrics.checks.WithLabelValues(result).Inc()
		if !errors.Is(err, store.ErrSuperseded) || pace.Sleep(ctx, p.Poll) != nil {
			return err
		}
	}
}
