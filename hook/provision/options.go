package provision

import (
	"time"

	"coderhook/hook/account"

	"github.com/google/uuid"
)

// Options are the times and limits of provisioning. DefaultOptions has those of production.
type Options struct {
	Instance        string        // names this process in leases; unique among replicas and restarts
	Organization    string        // name or id; empty for Coder's default organization
	Names           account.Names // of new Coder users
	ConfirmedOnly   bool          // new Coder users belong to whoever has their address: it must be confirmed
	TokenLifetime   time.Duration // of new keys; 0 leaves it to Coder
	OutOfClaims     bool          // tokens do not carry keys, where their mint does not say otherwise
	Concurrency     int           // how many users are provisioned at a time
	LeaseTTL        time.Duration // how long a killed holder blocks its user
	Timeout         time.Duration // for one user's work in Coder, from lease to key
	Poll            time.Duration // between looks at what another replica is doing
	RetryConflict   time.Duration // how long a conflict is answered from the ledger before Coder is asked again
	PersistPatience time.Duration // how long a user may stay uncommitted before the sign-up counts as rolled back
	LockPatience    time.Duration // how long a locked or unreachable profile is tried again
	RenewBefore     time.Duration // a key's end, from when on it is renewed; 0: a third of its lifetime
	CheckInterval   time.Duration // at most once per which a user's key is tried in Coder
	Backlog         int           // how many users who got no key are tried again in the background; 0: none
	ConfirmAfter    time.Duration // when a key that Coder did not take is tried again, before it is thrown away
	Now             func() time.Time
}

// DefaultOptions returns the values used in production.
func DefaultOptions() Options {
	return Options{
		Instance:        uuid.NewString(),
		Concurrency:     8,
		LeaseTTL:        5 * time.Second,
		Timeout:         30 * time.Second,
		Poll:            25 * time.Millisecond,
		RetryConflict:   time.Minute,
		PersistPatience: 30 * time.Second,
		LockPatience:    5 * time.Minute,
		CheckInterval:   10 * time.Minute,
		Backlog:         10_000,
		ConfirmAfter:    time.Second,
		Now:             time.Now,
	}
}
