package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/store"
)

// createOrAdopt goes down the ladder of usernames. Coder gives the same answer for a taken name and
// a taken e-mail, so who has the name is read: our own account of an earlier crash, a stranger's, or
// nobody's, and then it is the e-mail that belongs to an account which is not ours to take.
func (m *Maker) createOrAdopt(ctx context.Context, r Request) (User, error) {
	org, err := m.organization(ctx, cmp.Or(r.Organization, m.Organization))
	if err != nil {
		return User{}, err
	}
	email := strings.ToLower(r.Email)
	if err := m.refuseUnconfirmed(ctx, r, email); err != nil {
		return User{}, err
	}
	for _, name := range m.Names.Of(r.UserID) {
		if err := m.takeTurn(r.Turn); err != nil {
			return User{}, err
		}
		r.Turn = false
		asked := time.Now()
		user, err := m.Coder.CreateUser(ctx, coderclient.NewUser{Email: email, Username: name, Organization: org, Name: RealName(r.Name)})
		if err == nil {
			m.Pace.Accepted(asked)
			m.Made.Inc()
			return User{User: user, Created: true}, nil
		}
		if !errors.Is(err, coderclient.ErrExists) {
			return User{}, m.createFailed(err)
		}
		user, err = m.Coder.User(ctx, name)
		switch {
		case errors.Is(err, coderclient.ErrNotFound):
			return User{}, fmt.Errorf("%w: %w%s", ErrConflict, ErrForeign, m.holderOf(ctx, email))
		case err != nil:
			return User{}, fmt.Errorf("read Coder user of that name: %w", err)
		}
		if ours, err := m.ours(ctx, r, user, email); err != nil || ours {
			return User{User: user}, err
		}
	}
	return User{}, fmt.Errorf("%w: all usernames for this user are taken in Coder", ErrConflict)
}

// holderOf names the account with an address, and the Supabase user whose it is, for an operator.
func (m *Maker) holderOf(ctx context.Context, email string) string {
	user, err := m.Coder.UserByEmail(ctx, email)
	if err != nil {
		return ""
	}
	owner, err := m.Ledger.OwnerOf(ctx, user.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Sprintf(" (Coder user %s, of no Supabase user)", user.Username)
	case err != nil:
		return fmt.Sprintf(" (Coder user %s)", user.Username)
	}
	return fmt.Sprintf(" (Coder user %s, of Supabase user %s)", user.Username, owner)
}

// refuseUnconfirmed waits for the transaction in which an address is being confirmed: the mint of its first token is
// within it. After that, it is a conflict.
func (m *Maker) refuseUnconfirmed(ctx context.Context, r Request, email string) error {
	if !m.ConfirmedOnly {
		return nil
	}
	confirmed, err := m.Ledger.AddressConfirmed(ctx, r.UserID, email)
	switch {
	case err != nil || confirmed:
		return err
	case r.Tries > 0 && m.Now().Sub(r.Since) > m.PersistPatience:
		return fmt.Errorf("%w: %w", ErrConflict, ErrUnconfirmed)
	}
	return ErrUnconfirmed
}

// takeTurn keeps to Coder's rate limit. Who comes from the backlog has waited for one turn; a
// sign-in does not wait, but goes into the backlog if it is not its turn.
func (m *Maker) takeTurn(waited bool) error {
	if waited {
		return nil
	}
	return m.Pace.Now()
}

// ours tells an account that we made for this user before a crash from anybody else's.
// The e-mail alone proves nothing: the name is made of this user's uuid, too.
func (m *Maker) ours(ctx context.Context, r Request, user coderclient.User, email string) (bool, error) {
	if strings.ToLower(user.Email) != email {
		return false, nil
	}
	if roles, err := m.Roles.Of(ctx, user); err != nil || len(roles) > 0 {
		return false, err
	}
	owner, err := m.Ledger.OwnerOf(ctx, user.ID)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("who owns Coder user: %w", err)
	}
	return owner == r.UserID, nil
}

// ofEmail reports whether Coder complains about the address.
func ofEmail(v coderclient.Validation) bool { return v.Field == "email" }

// createFailed separates failures that need an operator from those that heal by themselves.
func (m *Maker) createFailed(err error) error {
	answer, answered := errors.AsType[*coderclient.Error](err)
	switch {
	case answered && answer.Status == http.StatusNotFound:
		m.orgs.forget() // it was deleted, or Coder was installed anew: the next mint asks again
	case errors.Is(err, coderclient.ErrPasswordOff):
		return fmt.Errorf("%w: password login is off in Coder, so that it takes no user with one: set CODER_LOGIN_TYPE=oidc or github: create Coder user: %w", ErrConflict, err)
	case answered && errors.Is(err, coderclient.ErrRefused) && slices.ContainsFunc(answer.Validations, ofEmail):
		return fmt.Errorf("%w: %w: create Coder user: %w", ErrConflict, ErrAddress, err)
	case errors.Is(err, coderclient.ErrRefused):
		return fmt.Errorf("%w: create Coder user: %w", ErrConflict, err)
	}
	if answered && errors.Is(err, coderclient.ErrRateLimited) {
		if rest := m.Pace.Limited(answer); rest > 0 {
			m.Log.Warn().Err(err).Dur("rest_ms", rest).Msg("Coder limits how many users are made at a time: the others are made in the background")
		}
	}
	return fmt.Errorf("create Coder user: %w", err)
}
