// Package account finds or makes a Supabase user's Coder account, and never takes a stranger's.
package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// ErrConflict marks what does not heal by itself: an operator has to decide.
var ErrConflict = errors.New("needs an operator")

// ErrSuspended says that an operator took the user's access away in Coder, and we do not give it back.
var ErrSuspended = errors.New("the user is suspended in Coder")

// ErrForeign says that an e-mail address has a Coder account already. The address proves nothing, so that it is not ours to take.
var ErrForeign = errors.New("a Coder account with this e-mail exists that was not made for this user")

// ErrUnconfirmed says that a new account would go to whoever has the address: with single sign-on in Coder, its first
// user with an address gets the account that waits there.
var ErrUnconfirmed = errors.New("the e-mail address is not confirmed in Supabase, and CODER_LOGIN_TYPE gives the account to whoever has it")

// ErrAddress says that Coder makes no account with such an e-mail address.
var ErrAddress = errors.New("Coder takes no such e-mail address: the user needs another one in Supabase")

// Distrust returns a conflict for a row that somebody else wrote: nothing is made, handed out, activated or deleted on its word.
func Distrust(a store.Account) error {
	if why := a.Distrust(); why != nil {
		return fmt.Errorf("%w: %w", ErrConflict, why)
	}
	return nil
}

// Ledger is what making accounts needs of the database.
type Ledger interface {
	RecordUser(ctx context.Context, lease store.Lease, coderUser uuid.UUID, username string, made bool) error
	ForgetUser(ctx context.Context, lease store.Lease) error
	Reactivate(ctx context.Context, lease store.Lease) error
	OwnerOf(ctx context.Context, coderUser uuid.UUID) (uuid.UUID, error)
	AuthUsers(ctx context.Context, ids []uuid.UUID) ([]store.AuthUser, error)
	AddressConfirmed(ctx context.Context, user uuid.UUID, address string) (bool, error)
}

// Coder is what making accounts needs of Coder.
type Coder interface {
	DefaultOrganization(ctx context.Context) (coderclient.Organization, error)
	Organization(ctx context.Context, nameOrID string) (coderclient.Organization, error)
	CreateUser(ctx context.Context, user coderclient.NewUser) (coderclient.User, error)
	User(ctx context.Context, idOrName string) (coderclient.User, error)
	UserByEmail(ctx context.Context, email string) (coderclient.User, error)
	Activate(ctx context.Context, user uuid.UUID) (coderclient.User, error)
}

// Maker finds and makes accounts. All fields are required, but Organization.
type Maker struct {
	Ledger          Ledger
	Coder           Coder
	Roles           *Roles
	Pace            *pace.Limiter
	Organization    string        // name or id; empty for Coder's default organization
	Names           Names         // of new accounts
	ConfirmedOnly   bool          // new Coder users belong to whoever has their address: it must be confirmed
	PersistPatience time.Duration // how long an address may stay unconfirmed before it is a conflict
	Now             func() time.Time
	Log             zerolog.Logger
	Made            prometheus.Counter // accounts

	orgs organizations
}

// Request asks for the account of one user, whose lease is held.
type Request struct {
	UserID uuid.UUID
	Email  string
	Known  store.Account // as it was looked up under the lease
	Lease  store.Lease
	Tries  int       // in the background, after the mint that asked got no key
	Since  time.Time // when that was
	Turn   bool      // a Coder user may be made now, whatever the rate limit

	Organization string // name or id; empty for the Maker's
	Name         string // the person's full name, as Coder shows it; may be empty
}

// User is the Coder account of one Supabase user.
type User struct {
	coderclient.User
	Created bool // just now, by this job
}

// User returns the user's Coder account: the one in the ledger, or a new one.
func (m *Maker) User(ctx context.Context, r Request) (User, error) {
	if r.Known.CoderUserID == uuid.Nil {
		return m.anew(ctx, r)
	}
	user, err := m.Coder.User(ctx, r.Known.CoderUserID.String())
	if errors.Is(err, coderclient.ErrNotFound) {
		return m.Replace(ctx, r)
	}
	if err != nil {
		return User{}, fmt.Errorf("read Coder user: %w", err)
	}
	if user.Suspended() {
		return m.suspended(ctx, r, user)
	}
	return User{User: user}, m.Roles.Refuse(ctx, user)
}

// suspended returns an account that is suspended, or that was when it was deleted: by its id
// Coder shows both alike, by its name only the one that is there.
func (m *Maker) suspended(ctx context.Context, r Request, user coderclient.User) (User, error) {
	if !user.Addressable() {
		return User{}, fmt.Errorf("%w: %w, or was when it was deleted: its name %s can't be asked for; give it another in Coder", ErrConflict, ErrSuspended, user.Username)
	}
	named, err := m.Coder.User(ctx, user.Username)
	if errors.Is(err, coderclient.ErrNotFound) || err == nil && named.ID != user.ID {
		return m.Replace(ctx, r)
	}
	if err == nil && r.Known.SuspendedByUs {
		if err := m.Roles.Refuse(ctx, user); err != nil { // whom an operator promoted, an operator may activate
			return User{}, err
		}
		user, err = m.reactivate(ctx, r, user)
	}
	if err != nil {
		return User{}, fmt.Errorf("read suspended Coder user: %w", err)
	}
	return User{User: user}, refuseSuspended(user)
}

// reactivate gives back what off-boarding took from a user who is here again. That Supabase
// mints a token does not prove it: this one may have been under way when they were banned.
func (m *Maker) reactivate(ctx context.Context, r Request, user coderclient.User) (coderclient.User, error) {
	found, err := m.Ledger.AuthUsers(ctx, []uuid.UUID{r.UserID})
	if err != nil {
		return user, fmt.Errorf("activate Coder user: %w", err)
	}
	if len(found) != 1 || !found[0].Living(m.Now()) {
		return user, nil
	}
	if user, err = m.Coder.Activate(ctx, user.ID); err != nil {
		return user, fmt.Errorf("activate Coder user: %w", err)
	}
	if err := m.Ledger.Reactivate(ctx, r.Lease); err != nil {
		return user, fmt.Errorf("activate Coder user: %w", err)
	}
	m.Log.Info().Stringer("user_id", r.UserID).Str("coder_user", user.Username).Msg("user is back: activated in Coder")
	return user, nil
}

// Replace forgets an account that is gone in Coder and makes a new one.
func (m *Maker) Replace(ctx context.Context, r Request) (User, error) {
	if err := m.Ledger.ForgetUser(ctx, r.Lease); err != nil {
		return User{}, fmt.Errorf("forget deleted Coder user: %w", err)
	}
	return m.anew(ctx, r)
}

// anew makes an account, or takes our own of an earlier crash.
func (m *Maker) anew(ctx context.Context, r Request) (User, error) {
	user, err := m.createOrAdopt(ctx, r)
	if err != nil {
		return User{}, err
	}
	// At once, so that a crash from here on finds the account again by its id.
	err = m.Ledger.RecordUser(ctx, r.Lease, user.ID, user.Username, user.Created)
	if errors.Is(err, store.ErrTaken) {
		return User{}, fmt.Errorf("%w: Coder user %s belongs to another Supabase user", ErrConflict, user.Username)
	}
	if err != nil {
		return User{}, fmt.Errorf("record Coder user: %w", err)
	}
	return user, refuseSuspended(user.User)
}

// refuseSuspended returns a conflict for a suspended account.
func refuseSuspended(user coderclient.User) error {
	if user.Suspended() {
		return fmt.Errorf("%w: %w", ErrConflict, ErrSuspended)
	}
	return nil
}
