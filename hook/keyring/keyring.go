// Package keyring answers which key a token may carry, and has one made where there is none.
//
// Once the ledger knows a key of the user's own, another one in the profile was planted, be it of another account or an
// old one of this user. It is never handed out: it counts as missing, and the mint makes a new one. That is logged with
// the public ids of both, counted and written into the audit trail. What is stored is read back: where the table's
// triggers, rules or policies keep something else, the user is a conflict, whose text says so.
// What was not encrypted for this user by us was planted, too. What another replica encrypted, with a key that this one does
// not have, is neither handed out nor replaced.
//
// rules.go asks the operator's rules, if there are any, who gets a key and which; ahead.go has one made for whom no sign-in
// waits.
//
// new.go puts together all that makes keys and looks after them, reconciler.go what looks after accounts; explain.go says what would be done, and strange.go tells
// of what was found and is not ours.
package keyring

import (
	"context"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/apikey"
	"coderhook/hook/claims"
	"coderhook/hook/provision"
	"coderhook/hook/rotation"
	"coderhook/hook/rules"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// ReasonShort says that a key dies before the token, as Coder could give no other.
const ReasonShort = "old key"

// Accounts is what a mint reads.
type Accounts interface {
	// Lookup tells what profile and ledger know of a user, in one round trip.
	Lookup(ctx context.Context, user uuid.UUID) (store.Account, error)
	// LookupFacts is Lookup with what rules look at; of auth.users only if asked for.
	LookupFacts(ctx context.Context, user uuid.UUID, auth bool) (store.Account, store.UserFacts, error)
	// LookupSets and LookupFactsSets tell also of the keys that stand beside the profile, in the same round trip.
	LookupSets(ctx context.Context, user uuid.UUID) (store.Account, error)
	LookupFactsSets(ctx context.Context, user uuid.UUID, auth bool) (store.Account, store.UserFacts, error)
}

// Users is what rules look at of users of whom there is no token.
type Users interface {
	UserFacts(ctx context.Context, ids []uuid.UUID) ([]store.UserFacts, error)
}

// Givings is where it is written down that a token will carry a key.
type Givings interface {
	// GiveOut takes away the mark that no token has carried the key.
	GiveOut(ctx context.Context, user uuid.UUID, keyID string) error
}

// Keyring answers which key a token may carry. All fields but Rules are required.
type Keyring struct {
	Accounts    Accounts
	Users       Users
	Givings     Givings
	Provisioner *provision.Provisioner
	Rotator     *rotation.Rotator
	Rule        apikey.Rule
	Trail       rotation.Trail
	Rules       *rules.Live // nil: everybody gets a key, and all get one alike
	Now         func() time.Time
	Log         zerolog.Logger

	metrics *counters
	facts   factsCache
}

// Wanted is the token that is to carry a key.
type Wanted struct {
	User  uuid.UUID
	Email string
	Until time.Time // when it expires

	OutOfClaims bool // it does not carry the key, but says that there is one; a rule may say otherwise

	Claims    []byte // JSON: all of them, for rules
	SigningIn bool   // it is a sign-in's first token, so that what the sign-in has changed is not committed yet
}

// Result is the key for a token, or why there is none. Answered must be called once the answer is out.
type Result struct {
	provision.Result
	Lookup    time.Duration // how long that took
	Provision time.Duration // likewise; 0: the key was there
	Renewal   error         // why an old key is handed out that dies before the token

	OutOfClaims bool // the token is not to carry it

	Set   string // where the key stands, see store.Account.In
	Rule  string // of POLICY_FILE, that decided; "": none
	Audit string // what the rules would have done, if they are only told
}

// Key finds the user's key, and has one made where there is none that outlives the token.
func (k *Keyring) Key(ctx context.Context, w Wanted) Result {
	started := time.Now()
	account, given, err := k.look(ctx, w)
	took := k.stage("lookup", started)
	if err != nil {
		return Result{Result: provision.Result{Err: err, Answered: func() {}}, Lookup: took, Rule: given.rule, Audit: given.audit}
	}
	if given.inClaims != nil {
		w.OutOfClaims = !*given.inClaims
	}
	found := k.find(ctx, w, account, given)
	found.Lookup, found.Rule, found.Audit, found.OutOfClaims, found.Set = took, given.rule, given.audit, w.OutOfClaims, account.Set
	if found.Err != nil || w.OutOfClaims || !found.Unseen {
		return found
	}
	// Once for each key that was made for tokens without it, and before the answer: were the mark still there after a crash,
	// nobody would know that the key has to be withdrawn. It is a row of ours, which no sign-in holds.
	if err := k.Givings.GiveOut(ctx, w.User, coderclient.KeyID(found.Key)); err != nil {
		found.Key, found.Err = "", err
	}
	return found
}

// find finds the key of an account that was looked up, and has one made where there is none.
func (k *Keyring) find(ctx context.Context, w Wanted, account store.Account, given given) Result {
	rule := k.Rule
	rule.OutOfClaims, rule.Grant = w.OutOfClaims, given.grant
	state := rule.Judge(account, w.Until, k.Now())
	if state.Usable() {
		answered := func() {
			k.Rotator.Tend(rotation.Subject{
				UserID: w.User, Email: w.Email, Until: w.Until, Known: account, OutOfClaims: w.OutOfClaims, Grant: given.grant,
			}, state)
		}
		return Result{Result: provision.Result{Key: account.APIKey, Unseen: account.KeyUnseen, Reason: provision.ReasonFound, Answered: answered}}
	}
	if state == apikey.Locked {
		k.noteLocked(account)
		return Result{Result: provision.Result{Err: store.ErrLocked, Answered: func() {}}}
	}
	switch {
	case account.Distrust() != nil:
		k.noteDistrust(account)
	case state == apikey.Planted:
		k.notePlanted(ctx, account)
	}
	looked := time.Now()
	found := Result{Result: k.Provisioner.Provision(ctx, provision.Request{
		User: w.User, Email: w.Email, Until: w.Until, Known: account, OutOfClaims: w.OutOfClaims,
		Grant: given.grant, Set: account.Set, Organization: given.organization, Name: claims.FullName(w.Claims),
	})}
	found.Provision = k.stage("provision", looked)
	stillLives := state == apikey.Short && account.KeyExpiresAt.After(k.Now()) // after all that waiting
	if found.Err != nil && stillLives && provision.StatusOf(found.Err) != provision.StatusConflict {
		// Coder can't be reached for a longer one. A key that works for now is better than none.
		found.Reason, found.Renewal = ReasonShort, found.Err
		found.Key, found.Unseen, found.Made, found.Err = account.APIKey, account.KeyUnseen, false, nil
	}
	return found
}

// stage notes how long a part took that began then.
func (k *Keyring) stage(name string, began time.Time) time.Duration {
	took := time.Since(began)
	k.metrics.stageTime.WithLabelValues(name).Observe(took.Seconds())
	return took
}
