package apikey

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/hook/grant"
	"coderhook/hook/lease"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// Prefix begins the names of the Coder tokens that are ours.
const Prefix = "supabase-"

// ourName is that of every token that we make for a user.
var ourName = regexp.MustCompile("^" + Prefix + "[a-z2-7]{12}$")

// Ours reports whether a token of the account's Coder user is one that we made, by its name, or the one in the ledger.
func Ours(a store.Account, k coderclient.Key) bool {
	return ourName.MatchString(k.TokenName) || k.ID == a.KeyID && !a.KeyRefused
}

// Ledger is what keys need of the database.
type Ledger interface {
	Lookup(ctx context.Context, user uuid.UUID) (store.Account, error)
	RecordTokenLife(ctx context.Context, user uuid.UUID, life time.Duration) error
	Retire(ctx context.Context, key store.Retired) error
	Retired(ctx context.Context, user uuid.UUID) ([]store.Retired, error)
	ForgetRetired(ctx context.Context, keyID string) error
}

// Coder is what keys need of Coder.
type Coder interface {
	User(ctx context.Context, idOrName string) (coderclient.User, error)
	CreateToken(ctx context.Context, user uuid.UUID, token coderclient.NewToken) (string, error)
	Tokens(ctx context.Context, user uuid.UUID) ([]coderclient.Key, error)
	Key(ctx context.Context, user uuid.UUID, keyID string) (coderclient.Key, error)
	DeleteKey(ctx context.Context, user uuid.UUID, keyID string) error
}

// Minter makes keys, and ends them. All fields are required.
type Minter struct {
	Ledger   Ledger
	Coder    Coder
	Roles    *account.Roles
	Lifetime time.Duration // of new keys; 0 leaves it to Coder
	Now      func() time.Time
	Log      zerolog.Logger
}

// Wanted is the key that a token of a user is to carry.
type Wanted struct {
	UserID uuid.UUID
	Until  time.Time     // when the token expires
	Known  time.Duration // how long the user's tokens live, as far as was known
	Grant  string        // what the key is made with, as grant.Grant writes it
}

// Reread returns the account with what Coder says of the key in its profile: up to Coder 2.34 every use moves a key's end.
// One that Coder does not have is marked as refused.
func (m *Minter) Reread(ctx context.Context, a store.Account, user coderclient.User) (store.Account, error) {
	if a.KeyID == "" || a.KeyID != coderclient.KeyID(a.APIKey) || a.KeyRefused {
		return a, nil
	}
	read, err := m.Coder.Key(ctx, user.ID, a.KeyID)
	if errors.Is(err, coderclient.ErrNotFound) {
		a.KeyRefused = true
		return a, nil
	}
	if err != nil {
		return a, fmt.Errorf("read Coder token: %w", err)
	}
	a.KeyExpiresAt, a.KeyLifetime = read.ExpiresAt, read.Lifetime()
	return a, nil
}

// Mint makes a token and reads back what Coder says of its life.
func (m *Minter) Mint(ctx context.Context, w Wanted, user coderclient.User) (store.Key, error) {
	// Before there is a token: how long it must be kept is then known, whatever crashes.
	if err := m.NoteTokenLife(ctx, w); err != nil {
		return store.Key{}, err
	}
	given, err := grant.Parse(w.Grant)
	if err != nil {
		return store.Key{}, err
	}
	secret, err := m.Coder.CreateToken(ctx, user.ID, coderclient.NewToken{
		Name: Prefix + strings.ToLower(rand.Text()[:12]), Lifetime: cmp.Or(given.Lifetime, m.Lifetime), Scopes: given.Scopes, AllowList: given.AllowList,
	})
	if errors.Is(err, coderclient.ErrRefused) { // as a scope that it does not know
		return store.Key{}, fmt.Errorf("%w: create Coder token: %w", account.ErrConflict, err)
	}
	if err != nil {
		return store.Key{}, fmt.Errorf("create Coder token: %w", err)
	}
	key := store.Key{Secret: secret, ID: coderclient.KeyID(secret), Grant: w.Grant}
	read, err := m.Coder.Key(ctx, user.ID, key.ID)
	if err == nil {
		err = narrow(given, read)
	}
	if err == nil && read.ExpiresAt.Before(w.Until) {
		err = fmt.Errorf("%w: Coder's tokens live shorter than the access token: raise CODER_TOKEN_LIFETIME or Coder's maximum", account.ErrConflict)
	}
	if err != nil {
		m.Discard(ctx, w.UserID, user.ID, key.ID)
		return store.Key{}, fmt.Errorf("read Coder token: %w", err)
	}
	key.ExpiresAt, key.Lifetime, key.MadeAt = read.ExpiresAt, read.Lifetime(), m.Now()
	if key.Lifetime < 2*TokenLife(w.Until, m.Now()) {
		m.Log.Warn().Stringer("user_id", w.UserID).Dur("key_lifetime_ms", key.Lifetime).Msg("Coder's tokens live less than twice as long as access tokens: keys are renewed at nearly every mint")
	}
	return key, nil
}

// narrow refuses a key that may do more than it was asked for: Coder up to 2.26 ignores what it does not know.
func narrow(given grant.Grant, read coderclient.Key) error {
	made := grant.Grant{Scopes: read.Scopes, AllowList: read.AllowList}
	if len(given.Scopes) == 0 {
		made.Scopes = nil
	}
	if len(given.AllowList) == 0 {
		made.AllowList = nil
	}
	given.Lifetime = 0 // Coder's maximum may be shorter, and is read back
	if made.String() == given.String() {
		return nil
	}
	return fmt.Errorf("%w: Coder made a key with other scopes or another allow_list than POLICY_FILE gives: it needs Coder 2.27 or later, and names as Coder writes them", account.ErrConflict)
}

// Discard deletes a token that nobody will use. What can't be deleted now keeps its name,
// by which it is known as ours.
func (m *Minter) Discard(ctx context.Context, user, coderUser uuid.UUID, keyID string) {
	ctx, cancel := lease.Detach(ctx)
	defer cancel()
	if err := m.Coder.DeleteKey(ctx, coderUser, keyID); err != nil {
		m.Log.Warn().Err(err).Stringer("user_id", user).Str("key_id", keyID).Msg("unused Coder token not deleted")
	}
}
