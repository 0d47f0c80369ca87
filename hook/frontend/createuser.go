package frontend

import (
	"context"
	"errors"
	"net/http"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/accesstoken"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
)

// pendingPause is after how long work in the background should have ended.
const pendingPause = 2 * time.Second

// accessEnded is told to who left. The access token may be older than that: a new sign-in, which Supabase Auth allows
// or not, decides.
const accessEnded = "Your access has ended. If that is wrong, sign in again."

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
	Status string    `json:"status"`
}

// createCoderUser does for a signed-in user what the next token mint would do.
func (r *Routes) createCoderUser(c echo.Context, who accesstoken.Caller, line *zerolog.Event) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), r.Deadline)
	defer cancel()
	before, err := r.Accounts.Lookup(ctx, who.User)
	if err != nil {
		return r.unavailable(c, err)
	}
	if err := r.refuseLeaver(ctx, c, before); err != nil {
		return err
	}
	found := r.Keys.Key(ctx, Wanted{User: who.User, Email: who.Claims.Email, Until: who.Claims.ExpiresAt(), Claims: []byte(who.Raw)})
	defer found.Answered()
	found.log(line)
	if found.Err != nil {
		return r.notCreated(c, who, found)
	}
	made, err := r.coderUserOf(c.Request().Context(), before, found)
	if _, answered := errors.AsType[*coderclient.Error](err); answered && !errors.Is(err, coderclient.ErrUnavailable) {
		return echo.NewHTTPError(http.StatusConflict, "Coder does not accept the key that is stored for you. "+
			"Sign in again; if that does not help, ask the operator, and name your user id: "+who.User.String())
	}
	if err != nil {
		return r.unavailable(c, err)
	}
	code := http.StatusOK
	if made.Created {
		code = http.StatusCreated
	}
	return c.JSON(code, made)
}

// refuseLeaver asks whether the user is gone or banned: an access token outlives that. Whoever has one was
// committed, so that who is not there is gone. Where it can't be known, nothing opens.
func (r *Routes) refuseLeaver(ctx context.Context, c echo.Context, known store.Account) error {
	user, err := store.OneAuthUser(r.Accounts.AuthUsers(ctx, []uuid.UUID{known.UserID}))
	if err != nil {
		return r.unavailable(c, err)
	}
	// Whom rules gave no key for a while is let in by them by now, or would not have come here.
	offboarded := known.Status == store.Offboarded && known.IneligibleSince.IsZero()
	if offboarded || !user.Living(r.Now()) {
		return echo.NewHTTPError(http.StatusConflict, accessEnded)
	}
	return nil
}

// coderUserOf names the Coder account of a key. The ledger knows it, but for the key of an
// older deployment: there Coder is asked.
func (r *Routes) coderUserOf(ctx context.Context, account store.Account, found Found) (createdUser, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Deadline)
	defer cancel()
	if found.Key != account.APIKey { // the account may have come with it
		var err error
		if account, err = r.Accounts.Lookup(ctx, account.UserID); err != nil {
			return createdUser{}, err
		}
	}
	if account.CoderUserID != uuid.Nil {
		return createdUser{account.UserID, account.CoderUserID, account.CoderUsername, found.Made}, nil
	}
	me, err := r.Apps.Me(ctx, found.Key)
	return createdUser{account.UserID, me.ID, me.Username, found.Made}, err
}

// notCreated says what the caller can do about it.
func (r *Routes) notCreated(c echo.Context, who accesstoken.Caller, found Found) error {
	switch no := found.Why.Refusal(who.User); {
	case found.Why == Pending:
		accesstoken.SetRetryAfter(c, pendingPause)
		return c.JSON(http.StatusAccepted, pendingUser{who.User, "pending"})
	case no == nil:
		return r.unavailable(c, found.Err)
	case no.RetryAfter > 0:
		return accesstoken.ComeBack(c, no.Code, no.RetryAfter, no.Message)
	default:
		return echo.NewHTTPError(no.Code, no.Message)
	}
}

// Refusal is what a user is told who gets no key for that reason, by these routes and by the gateway. It is nil for
// [Pending] and [Unavailable], which each of them answers in a way of its own.
func (w Why) Refusal(user uuid.UUID) *accesstoken.Refusal {
	switch w {
	case Left:
		return &accesstoken.Refusal{Code: http.StatusConflict, Message: accessEnded}
	case Stopping:
		return &accesstoken.Refusal{Code: http.StatusServiceUnavailable, RetryAfter: time.Second, Message: "the server is restarting: try again in a few seconds"}
	case Ineligible: // since the call was let in
		return &accesstoken.Refusal{Code: http.StatusForbidden, Message: accesstoken.NotEligible(""), ByPolicy: true}
	case Suspended, Foreign, Conflict:
		return &accesstoken.Refusal{Code: http.StatusConflict, Message: conflictText(user, w)}
	}
	return nil
}

// conflictText is for a person, who can do no more than to ask another one.
func conflictText(user uuid.UUID, why Why) string {
	text := "Your Coder account can't be made or used as it is."
	switch why {
	case Suspended:
		text = "Your Coder account is suspended."
	case Foreign:
		text = "Coder already has an account with your e-mail address that was not made for you here."
	}
	return text + " Ask the operator, and name your user id: " + user.String()
}
