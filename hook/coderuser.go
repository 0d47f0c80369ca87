package hook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

// usernameDigits are the lengths that are tried for a name made of the user's uuid: 8 is its
// first group. Never 32: Coder takes 32 hex digits in a path for an id, not for a name.
// That the name is made of the uuid is what ours relies on: with names made of anything that a
// user chooses, somebody could wait for us in Coder with another's name.
var usernameDigits = [...]int{8, 12, 16, 20, 24, 28}

// errForeignAccount: an e-mail proves nothing, so that account is not ours to take.
var errForeignAccount = errors.New("a Coder account with this e-mail exists that was not made for this user")

func usernames(user uuid.UUID) []string {
	digits := strings.ReplaceAll(user.String(), "-", "")
	names := make([]string, len(usernameDigits))
	for i, n := range usernameDigits {
		names[i] = digits[:n]
	}
	return names
}

// coderUser is the Coder account of one Supabase user.
type coderUser struct {
	coderclient.User
	created bool // just now, by this job
}

// coderUser returns the user's Coder account: the one in the ledger, or a new one.
func (p *Provisioner) coderUser(ctx context.Context, j *job) (coderUser, error) {
	if j.known.CoderUserID == uuid.Nil {
		return p.newCoderUser(ctx, j)
	}
	user, err := p.Coder.User(ctx, j.known.CoderUserID.String())
	if errors.Is(err, coderclient.ErrNotFound) {
		return p.replaceCoderUser(ctx, j)
	}
	if err != nil {
		return coderUser{}, fmt.Errorf("read Coder user: %w", err)
	}
	if user.Suspended() {
		return p.suspendedCoderUser(ctx, j, user)
	}
	return coderUser{User: user}, p.refuseRoles(ctx, j, user)
}

// suspendedCoderUser is an account that is suspended, or that was when it was deleted: by its id
// Coder shows both alike, by its name only the one that is there.
func (p *Provisioner) suspendedCoderUser(ctx context.Context, j *job, user coderclient.User) (coderUser, error) {
	if !user.Addressable() {
		return coderUser{}, fmt.Errorf("%w: %w, or was when it was deleted: its name %s can't be asked for; give it another in Coder", errConflict, errSuspended, user.Username)
	}
	named, err := p.Coder.User(ctx, user.Username)
	if errors.Is(err, coderclient.ErrNotFound) || err == nil && named.ID != user.ID {
		return p.replaceCoderUser(ctx, j)
	}
	if err == nil && j.known.SuspendedByUs {
		if err := p.refuseRoles(ctx, j, user); err != nil { // whom an operator promoted, an operator may activate
			return coderUser{}, err
		}
		user, err = p.reactivate(ctx, j, user)
	}
	if err != nil {
		return coderUser{}, fmt.Errorf("read suspended Coder user: %w", err)
	}
	return coderUser{User: user}, refuseSuspended(user)
}

// reactivate gives back what off-boarding took from a user who is here again. That Supabase
// mints a token does not prove it: this one may have been under way when they were banned.
func (p *Provisioner) reactivate(ctx context.Context, j *job, user coderclient.User) (coderclient.User, error) {
	found, err := p.Ledger.AuthUsers(ctx, []uuid.UUID{j.user})
	if err != nil {
		return user, fmt.Errorf("activate Coder user: %w", err)
	}
	if len(found) != 1 || !found[0].Living(p.Now()) {
		return user, nil
	}
	if user, err = p.Coder.Activate(ctx, user.ID); err != nil {
		return user, fmt.Errorf("activate Coder user: %w", err)
	}
	if err := p.Ledger.Reactivate(ctx, j.lease); err != nil {
		return user, fmt.Errorf("activate Coder user: %w", err)
	}
	p.Log.Info().Stringer("user_id", j.user).Str("coder_user", user.Username).Msg("user is back: activated in Coder")
	return user, nil
}

// replaceCoderUser forgets an account that is gone in Coder and makes a new one.
func (p *Provisioner) replaceCoderUser(ctx context.Context, j *job) (coderUser, error) {
	if err := p.Ledger.ForgetUser(ctx, j.lease); err != nil {
		return coderUser{}, fmt.Errorf("forget deleted Coder user: %w", err)
	}
	j.known.CoderUserID = uuid.Nil
	return p.newCoderUser(ctx, j)
}

func (p *Provisioner) newCoderUser(ctx context.Context, j *job) (coderUser, error) {
	user, err := p.createOrAdopt(ctx, j)
	if err != nil {
		return coderUser{}, err
	}
	// At once, so that a crash from here on finds the account again by its id.
	err = p.Ledger.RecordUser(ctx, j.lease, user.ID, user.Username, user.created)
	if errors.Is(err, store.ErrTaken) {
		return coderUser{}, fmt.Errorf("%w: Coder user %s belongs to another Supabase user", errConflict, user.Username)
	}
	if err != nil {
		return coderUser{}, fmt.Errorf("record Coder user: %w", err)
	}
	j.known.CoderUserID = user.ID
	return user, refuseSuspended(user.User)
}

// createOrAdopt goes down the ladder of usernames. Coder gives the same answer for a taken name and
// a taken e-mail, so who has the name is read: our own account of an earlier crash, a stranger's, or
// nobody's, and then it is the e-mail that belongs to an account which is not ours to take.
func (p *Provisioner) createOrAdopt(ctx context.Context, j *job) (coderUser, error) {
	org, err := p.organization(ctx)
	if err != nil {
		return coderUser{}, err
	}
	email := strings.ToLower(j.email)
	if err := p.refuseUnconfirmed(ctx, j, email); err != nil {
		return coderUser{}, err
	}
	for _, name := range usernames(j.user) {
		if err := p.takeTurn(j); err != nil {
			return coderUser{}, err
		}
		asked := time.Now()
		user, err := p.Coder.CreateUser(ctx, coderclient.NewUser{Email: email, Username: name, Organization: org})
		if err == nil {
			p.pace.Accepted(asked)
			p.Metrics.accountsMade.Inc()
			return coderUser{User: user, created: true}, nil
		}
		if !errors.Is(err, coderclient.ErrExists) {
			return coderUser{}, p.createFailed(err)
		}
		user, err = p.Coder.User(ctx, name)
		switch {
		case errors.Is(err, coderclient.ErrNotFound):
			return coderUser{}, fmt.Errorf("%w: %w%s", errConflict, errForeignAccount, p.holderOf(ctx, email))
		case err != nil:
			return coderUser{}, fmt.Errorf("read Coder user of that name: %w", err)
		}
		if ours, err := p.ours(ctx, j, user, email); err != nil || ours {
			return coderUser{User: user}, err
		}
	}
	return coderUser{}, fmt.Errorf("%w: all usernames for this user are taken in Coder", errConflict)
}

// holderOf names the account with an address, and the Supabase user whose it is, for an operator.
func (p *Provisioner) holderOf(ctx context.Context, email string) string {
	user, err := p.Coder.UserByEmail(ctx, email)
	if err != nil {
		return ""
	}
	owner, err := p.Ledger.OwnerOf(ctx, user.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Sprintf(" (Coder user %s, of no Supabase user)", user.Username)
	case err != nil:
		return fmt.Sprintf(" (Coder user %s)", user.Username)
	}
	return fmt.Sprintf(" (Coder user %s, of Supabase user %s)", user.Username, owner)
}

// errUnconfirmed: with single sign-on in Coder, its first user with an address gets the account that waits there.
var errUnconfirmed = errors.New("the e-mail address is not confirmed in Supabase, and CODER_LOGIN_TYPE gives the account to whoever has it")

// refuseUnconfirmed waits for the transaction in which an address is being confirmed: the mint of its first token is
// within it. After that, it is a conflict.
func (p *Provisioner) refuseUnconfirmed(ctx context.Context, j *job, email string) error {
	if !p.ConfirmedOnly {
		return nil
	}
	confirmed, err := p.Ledger.AddressConfirmed(ctx, j.user, email)
	switch {
	case err != nil || confirmed:
		return err
	case j.tries > 0 && p.Now().Sub(j.since) > p.PersistPatience:
		return fmt.Errorf("%w: %w", errConflict, errUnconfirmed)
	}
	return fmt.Errorf("%w: %w", errPending, errUnconfirmed)
}

// takeTurn keeps to Coder's rate limit. Who comes from the backlog has waited for one turn; a
// sign-in does not wait, but goes into the backlog if it is not its turn.
func (p *Provisioner) takeTurn(j *job) error {
	if j.turn {
		j.turn = false
		return nil
	}
	return p.pace.Now()
}

// ours tells an account that we made for this user before a crash from anybody else's.
// The e-mail alone proves nothing: the name is made of this user's uuid, too.
func (p *Provisioner) ours(ctx context.Context, j *job, user coderclient.User, email string) (bool, error) {
	if strings.ToLower(user.Email) != email {
		return false, nil
	}
	if roles, err := p.rolesOf(ctx, user); err != nil || len(roles) > 0 {
		return false, err
	}
	owner, err := p.Ledger.OwnerOf(ctx, user.ID)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("who owns Coder user: %w", err)
	}
	return owner == j.user, nil
}

// createFailed separates failures that need an operator from those that heal by themselves.
func (p *Provisioner) createFailed(err error) error {
	answer, answered := errors.AsType[*coderclient.Error](err)
	switch {
	case answered && answer.Status == http.StatusNotFound:
		p.org.forget() // it was deleted, or Coder was installed anew: the next mint asks again
	case errors.Is(err, coderclient.ErrPasswordOff):
		return fmt.Errorf("%w: password login is off in Coder, so that it takes no user with one: set CODER_LOGIN_TYPE=oidc or github: create Coder user: %w", errConflict, err)
	case errors.Is(err, coderclient.ErrRefused):
		return fmt.Errorf("%w: create Coder user: %w", errConflict, err)
	}
	if answered && errors.Is(err, coderclient.ErrRateLimited) {
		if rest := p.pace.Limited(answer); rest > 0 {
			p.Log.Warn().Err(err).Dur("rest_ms", rest).Msg("Coder limits how many users are made at a time: the others are made in the background")
		}
	}
	return fmt.Errorf("create Coder user: %w", err)
}

func refuseSuspended(user coderclient.User) error {
	if user.Suspended() {
		return fmt.Errorf("%w: %w", errConflict, errSuspended)
	}
	return nil
}

// organizationCache remembers where new users go. It is not locked while Coder is asked: when
// Coder hangs, all who ask must find out for themselves, and at the same time.
type organizationCache struct{ id atomic.Pointer[uuid.UUID] }

func (o *organizationCache) forget() { o.id.Store(nil) }

func (p *Provisioner) organization(ctx context.Context) (uuid.UUID, error) {
	if id := p.org.id.Load(); id != nil {
		return *id, nil
	}
	org, err := p.readOrganization(ctx)
	if errors.Is(err, coderclient.ErrNotFound) {
		return uuid.Nil, fmt.Errorf("%w: Coder has no organization %q", errConflict, p.Organization)
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("read organization: %w", err)
	}
	p.org.id.Store(&org.ID)
	return org.ID, nil
}

func (p *Provisioner) readOrganization(ctx context.Context) (coderclient.Organization, error) {
	if p.Organization == "" {
		return p.Coder.DefaultOrganization(ctx)
	}
	return p.Coder.Organization(ctx, p.Organization)
}
