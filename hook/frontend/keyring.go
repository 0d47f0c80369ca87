package frontend

import (
	"context"
	"time"

	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// Accounts is what the routes read of users.
type Accounts interface {
	// Lookup tells what profile and ledger know of a user.
	Lookup(context.Context, uuid.UUID) (store.Account, error)
	// AuthUsers tells what Supabase Auth knows of users.
	AuthUsers(ctx context.Context, ids []uuid.UUID) ([]store.AuthUser, error)
}

// Keyring is what the routes need of provisioning.
type Keyring interface {
	// Key returns the user's key, and has one made where there is none that outlives the token.
	Key(ctx context.Context, want Wanted) Found
	// HandsOut returns the user with the key that is for the bearer of a token, and whether it is one that a token may carry now.
	HandsOut(ctx context.Context, to Wanted) (account store.Account, hands bool, err error)
	// Doubt checks a key at once that Coder has just refused.
	Doubt(ctx context.Context, of Wanted, key string)
}

// Wanted is for whom a key is asked, and until when it has to live.
type Wanted struct {
	User  uuid.UUID
	Email string
	Until time.Time // when the access token expires

	Claims []byte // JSON: the token's
}

// Found is a key, or why there is none.
type Found struct {
	Key      string
	Made     bool // while the caller waited
	Err      error
	Why      Why     // there is an Err
	Renewal  error   // why a key that dies before the token was not replaced
	Stages   []Stage // in which it was found
	Answered func()  // to be called once the answer is out
}

// Stage is a part of the work, and how long it took.
type Stage struct {
	Name string
	Took time.Duration
}

// log adds what was found out to a request's line.
func (f Found) log(line *zerolog.Event) {
	for _, stage := range f.Stages {
		line.Dur(stage.Name+"_ms", stage.Took)
	}
	line.AnErr("renewal", f.Renewal)
}

// Why says for what reason there is no key, as far as a caller can do something about it.
type Why int

// Reasons why there is no key.
const (
	Unavailable Why = iota // Coder or the database can't be reached
	Pending                // it is still being made
	Stopping               // the server shuts down
	Left                   // the user is gone or banned in Supabase
	Suspended              // an operator suspended the account in Coder
	Foreign                // the e-mail address is of an account that was not made for this user
	Conflict               // it needs an operator for another reason
	Ineligible             // no rule of the operator's gives the user a key: Err says why
)
