// Package rotation looks after a key once an answer has carried it: it tries, renews, adopts and deletes.
//
// A check tries the key in Coder, once per interval among all replicas. A key that Coder refuses twice, while it takes the
// owner's token, is given up: the next mint makes another. While its user is suspended in Coder there is none; once the
// user is activated again, the old one is handed out again. If its user was given roles, our keys are deleted.
//
// A key that the profile had before the ledger knew of any is handed out once, then looked into. It is adopted, with its
// real expiry, if its Coder user is this user's: by our username or the same e-mail, without roles, and no other Supabase
// user's. Otherwise it is refused.
//
// tend.go decides what there is to do, check.go tries a key in Coder, adopt.go learns about one that the ledger
// does not know, and trail.go leaves a row in the audit trail.
package rotation

import (
	"context"
	"errors"
	"sync"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/hook/apikey"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Ledger is where it is written down what was learnt of a key after the answer. None of
// it takes a lease: what comes too late is store.ErrSuperseded and changes nothing.
type Ledger interface {
	BeginCheck(ctx context.Context, user uuid.UUID, keyID string, now time.Time, interval time.Duration) error
	RefuseKey(ctx context.Context, user uuid.UUID, keyID string, now time.Time, reason string) error
	RefuseUnknownKey(ctx context.Context, user uuid.UUID, keyID string, now time.Time, reason string) error
	MarkSuspended(ctx context.Context, user uuid.UUID, keyID, reason string) error
	Rename(ctx context.Context, user, coderUser uuid.UUID, username string) error
	Adopt(ctx context.Context, adoption store.Adoption) error
}

// Lookups is what a Rotator reads, and where it leaves a row for the audit trail.
type Lookups interface {
	LookupSets(ctx context.Context, user uuid.UUID) (store.Account, error)
	OwnerOf(ctx context.Context, coderUser uuid.UUID) (uuid.UUID, error)
	Note(ctx context.Context, event store.Event) error
}

// Coder is what a Rotator needs of Coder.
type Coder interface {
	Available() bool
	Me(ctx context.Context, key string) (coderclient.User, error)
	Key(ctx context.Context, user uuid.UUID, keyID string) (coderclient.Key, error)
	DefaultOrganization(ctx context.Context) (coderclient.Organization, error)
}

// Subject is the user whose key an answer has carried, or told of.
type Subject struct {
	UserID uuid.UUID
	Email  string
	Until  time.Time     // when the token expires
	Known  store.Account // as it was looked up for that answer
	Grant  string        // what a key is made with, as grant.Grant writes it

	OutOfClaims bool // the answer has not carried the key itself
}

func (r Subject) wanted() apikey.Wanted {
	return apikey.Wanted{UserID: r.UserID, Until: r.Until, Known: r.Known.TokenLife}
}

// Rotator looks after keys that answers have carried. All fields are required; it works in the background until Stop.
type Rotator struct {
	Ledger  Ledger
	Lookups Lookups
	Coder   Coder
	Roles   *account.Roles
	Names   account.Names // of accounts that we made
	Keys    *apikey.Minter
	Renew   func(context.Context, Subject) // has another key made, which nobody waits for

	CheckInterval time.Duration // at most once per which a user's key is tried in Coder
	ConfirmAfter  time.Duration // when a key that Coder did not take is tried again, before it is thrown away
	Timeout       time.Duration // for one user's key
	Poll          time.Duration // between looks at what another replica is doing
	Slots         chan struct{} // as many as keys may be looked after at a time
	Now           func() time.Time
	Log           zerolog.Logger
	Checks        *prometheus.CounterVec // keys that were tried in Coder, by result
	RolesRefused  prometheus.Counter

	mu       sync.Mutex
	tended   map[uuid.UUID]bool // whose key is being looked after
	running  sync.WaitGroup
	stopping bool
	base     context.Context // of the work that outlives the request that asked for it
	cancel   context.CancelFunc
}

// Start makes a Rotator ready to work.
func (k *Rotator) Start() *Rotator {
	k.tended = make(map[uuid.UUID]bool)
	k.base, k.cancel = context.WithCancel(context.Background())
	return k
}

// Stop lets what is under way end, until ctx ends.
func (k *Rotator) Stop(ctx context.Context) error {
	k.mu.Lock()
	k.stopping = true
	k.mu.Unlock()
	ended := make(chan struct{})
	go func() { k.running.Wait(); close(ended) }()
	defer k.cancel()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errors.New("stop: gave up on keys that are being looked after")
	}
}

// Wait returns when nothing is under way.
func (k *Rotator) Wait() { k.running.Wait() }
