package reconcile

import (
	"context"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/lease"
	"coderhook/store"

	"github.com/google/uuid"
)

// Ledger is what reconciling shares with provisioning.
type Ledger interface {
	lease.Ledger
	Reading
	Undoing
}

// Reading is what is read of one account.
type Reading interface {
	Lookup(ctx context.Context, user uuid.UUID) (store.Account, error)
	AuthUsers(ctx context.Context, ids []uuid.UUID) ([]store.AuthUser, error)
	OwnerOf(ctx context.Context, coderUser uuid.UUID) (uuid.UUID, error)
	Retired(ctx context.Context, user uuid.UUID) ([]store.Retired, error)
}

// Undoing is what is written down when Coder has gone another way than the ledger.
type Undoing interface {
	ForgetUser(ctx context.Context, lease store.Lease) error
	Reactivate(ctx context.Context, lease store.Lease) error
	RefuseUnknownKey(ctx context.Context, user uuid.UUID, keyID string, now time.Time, reason string) error
}

// Register is what reconciling needs of the database beyond what provisioning does.
type Register interface {
	lease.Tasks
	Listing
	Looks
	Deeds
	Eligibility
	Departures
}

// Listing goes through the accounts.
type Listing interface {
	Page(ctx context.Context, after uuid.UUID, limit int) ([]store.Entry, error)
	Entries(ctx context.Context, users []uuid.UUID) ([]store.Entry, error)
	AuthUserIDs(ctx context.Context, email string) ([]uuid.UUID, error)
}

// Looks tells whose tokens in Coder nobody has looked at for long.
type Looks interface {
	Unlooked(ctx context.Context, after store.Entry, now time.Time, interval time.Duration, limit int) ([]store.Entry, error)
	Looked(ctx context.Context, user uuid.UUID, at time.Time) error
}

// Deeds is what reconciling writes down of what it did.
type Deeds interface {
	IntendSuspension(ctx context.Context, lease store.Lease) error
	Offboard(ctx context.Context, lease store.Lease, now time.Time) error
	Stopped(ctx context.Context, user uuid.UUID) error
	Remove(ctx context.Context, lease store.Lease) error
	Link(ctx context.Context, lease store.Lease, link store.Link, now time.Time) error
	Seal(ctx context.Context, account store.Account) error
}

// Coder is what reconciling needs of Coder.
type Coder interface {
	CoderUsers
	CoderTokens
	CoderWorkspaces
}

// CoderUsers is what is done with users in Coder.
type CoderUsers interface {
	Available() bool
	User(ctx context.Context, idOrName string) (coderclient.User, error)
	Me(ctx context.Context, key string) (coderclient.User, error)
	Activate(ctx context.Context, user uuid.UUID) (coderclient.User, error)
	Suspend(ctx context.Context, user uuid.UUID) (coderclient.User, error)
	DeleteUser(ctx context.Context, user uuid.UUID) error
}

// CoderTokens is what is done with keys in Coder.
type CoderTokens interface {
	CreateToken(ctx context.Context, user uuid.UUID, token coderclient.NewToken) (string, error)
	Tokens(ctx context.Context, user uuid.UUID) ([]coderclient.Key, error)
	Key(ctx context.Context, user uuid.UUID, keyID string) (coderclient.Key, error)
	DeleteKey(ctx context.Context, user uuid.UUID, keyID string) error
	LogOut(ctx context.Context, key string) error
}

// CoderWorkspaces is what is done with the workspaces of who left.
type CoderWorkspaces interface {
	Workspaces(ctx context.Context, owner coderclient.User) ([]coderclient.Workspace, error)
	StopWorkspace(ctx context.Context, workspace uuid.UUID) error
}
