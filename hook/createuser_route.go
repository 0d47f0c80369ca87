package hook

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/accesstoken"
	"coderhook/hook/webhook"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
)

// pendingPause is after how long work in the background should have ended.
const pendingPause = 2 * time.Second

// createdUser is the answer for a user who has a Coder account and a key. The key is not in it:
// it comes with the next token.
type createdUser struct {
	UserID      uuid.UUID `json:"user_id"`
	CoderUserID uuid.UUID `json:"coder_user_id"`
	Username    string    `json:"username"`
	Created     bool      `json:"created"` // account or key, since the call came in, by whomever
}

// pendingUser is the answer for a user whose account or key is still being made.
type pendingUser struct {
	UserID uuid.UUID `json:"user_id"`
	Status status    `json:"status"`
}

// createCoderUser does for a signed-in user what the next token mint would do.
func (s *Server) createCoderUser(c echo.Context, who accesstoken.Caller, line *zerolog.Event) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.Deadline)
	defer cancel()
	before, err := s.Accounts.Lookup(ctx, who.User)
	if err != nil {
		return s.unavailable(c, err)
	}
	if err := s.refuseLeaver(ctx, c, before); err != nil {
		return err
	}
	found := s.resolve(ctx, &webhook.Event{User: who.User, Deciding: who.Claims}, &record{line: line, metrics: s.Provisioner.Metrics})
	defer found.answered()
	if found.err != nil {
		return s.notCreated(c, who, found.err)
	}
	made, err := s.coderUserOf(c.Request().Context(), before, found)
	if _, answered := errors.AsType[*coderclient.Error](err); answered && !errors.Is(err, coderclient.ErrUnavailable) {
		return echo.NewHTTPError(http.StatusConflict, "Coder does not accept the key that is stored for you. "+
			"Sign in again; if that does not help, ask the operator, and name your user id: "+who.User.String())
	}
	if err != nil {
		return s.unavailable(c, err)
	}
	code := http.StatusOK
	if made.Created {
		code = http.StatusCreated
	}
	return c.JSON(code, made)
}

// refuseLeaver asks whether the user is gone or banned: an access token outlives that. Whoever has one was
// committed, so that who is not there is gone. Where it can't be known, nothing opens.
func (s *Server) refuseLeaver(ctx context.Context, c echo.Context, known store.Account) error {
	user, err := s.Provisioner.authUser(ctx, known.UserID)
	if err != nil {
		return s.unavailable(c, err)
	}
	if known.Status == store.Offboarded || !user.Living(s.Now()) {
		// The token may be older than that. A new sign-in, which Supabase Auth allows or not, decides.
		return echo.NewHTTPError(http.StatusConflict, "Your access has ended. If that is wrong, sign in again.")
	}
	return nil
}

// coderUserOf names the Coder account of a key. The ledger knows it, but for the key of an
// older deployment: there Coder is asked.
func (s *Server) coderUserOf(ctx context.Context, account store.Account, found resolution) (createdUser, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Deadline)
	defer cancel()
	if found.key != account.APIKey { // the account may have come with it
		var err error
		if account, err = s.Accounts.Lookup(ctx, account.UserID); err != nil {
			return createdUser{}, err
		}
	}
	if account.CoderUserID != uuid.Nil {
		return createdUser{account.UserID, account.CoderUserID, account.CoderUsername, found.made}, nil
	}
	me, err := s.FrontEnd.Apps.Me(ctx, found.key)
	return createdUser{account.UserID, me.ID, me.Username, found.made}, err
}

// notCreated says what the caller can do about it.
func (s *Server) notCreated(c echo.Context, who accesstoken.Caller, err error) error {
	switch {
	case errors.Is(err, errLeft):
		return echo.NewHTTPError(http.StatusConflict, "Your access has ended. If that is wrong, sign in again.")
	case errors.Is(err, errStopping):
		return accesstoken.ComeBack(c, http.StatusServiceUnavailable, time.Second, "the server is restarting: try again in a few seconds")
	case statusOf(err) == statusPending:
		accesstoken.SetRetryAfter(c, pendingPause)
		return c.JSON(http.StatusAccepted, pendingUser{who.User, statusPending})
	case statusOf(err) == statusConflict:
		return echo.NewHTTPError(http.StatusConflict, conflictText(who.User, err))
	}
	return s.unavailable(c, err)
}

// conflictText is for a person, who can do no more than to ask another one. The reason may come
// from the ledger, which keeps it as text.
func conflictText(user uuid.UUID, err error) string {
	text := "Your Coder account can't be made or used as it is."
	switch reason := err.Error(); {
	case strings.Contains(reason, errSuspended.Error()):
		text = "Your Coder account is suspended."
	case strings.Contains(reason, errForeignAccount.Error()):
		text = "Coder already has an account with your e-mail address that was not made for you here."
	}
	return text + " Ask the operator, and name your user id: " + user.String()
}
