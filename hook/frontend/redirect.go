package frontend

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"coderhook/coderclient"
	"coderhook/hook/accesstoken"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
)

// authRedirect sends a signed-in user into a workspace app. The address that it gives holds an
// encrypted key of Coder's: it goes to the caller and nowhere else.
func (r *Routes) authRedirect(c echo.Context, who accesstoken.Caller, line *zerolog.Event) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), r.Deadline)
	defer cancel()
	to, err := r.appURI(ctx, c)
	if err != nil {
		return err
	}
	key, err := r.keyOf(ctx, c, who)
	if err != nil {
		return err
	}
	location, err := r.enter(ctx, key, to.String())
	if errors.Is(err, coderclient.ErrUnauthorized) {
		r.Keys.Doubt(ctx, Wanted{User: who.User, Email: who.Claims.Email}, key)
	}
	if err != nil {
		return r.notLetIn(c, err)
	}
	line.Str("key_id", coderclient.KeyID(key)).Str("app", to.Hostname())
	c.Response().Header().Add(echo.HeaderVary, echo.HeaderAccept)
	if wantsJSON(c.Request()) {
		return c.JSON(http.StatusOK, map[string]string{"location": location})
	}
	return c.Redirect(http.StatusSeeOther, location)
}

// appURI is the address that is asked for, if it is one of Coder's apps.
func (r *Routes) appURI(ctx context.Context, c echo.Context) (*url.URL, error) {
	to, err := parseAppURI(c.QueryParam("redirect_uri"))
	if err != nil {
		return nil, echo.NewHTTPError(http.StatusBadRequest, err.Error())
	}
	hosts, err := r.appHosts(ctx, to)
	switch {
	case err != nil:
		return nil, r.unavailable(c, err)
	case hosts.has(to):
		return to, nil
	case hosts.missing != nil: // it may be a proxy's
		return nil, r.unavailable(c, hosts.missing)
	case hosts.none():
		return nil, echo.NewHTTPError(http.StatusNotImplemented,
			"Coder has no host for workspace apps: its operator has to set CODER_WILDCARD_ACCESS_URL")
	}
	return nil, echo.NewHTTPError(http.StatusBadRequest, errNotAnApp.Error())
}

// appHosts are the hosts of Coder's apps. They may have changed since they were read: before
// an address is refused, they are asked for anew.
func (r *Routes) appHosts(ctx context.Context, to *url.URL) (appAddresses, error) {
	hosts, err := r.hosts.Get(ctx)
	if err == nil && !hosts.has(to) {
		hosts, err = r.hosts.Renew(ctx)
	}
	return hosts, err
}

// keyOf is the key of the caller's token, or, if it has none, the one for its session: never one that was
// found not to be this user's, or that a mint would not hand out.
func (r *Routes) keyOf(ctx context.Context, c echo.Context, who accesstoken.Caller) (string, error) {
	account, hands, err := r.Keys.HandsOut(ctx, Wanted{User: who.User, Email: who.Claims.Email, Claims: []byte(who.Raw)})
	if err != nil {
		return "", r.unavailable(c, err)
	}
	if err := r.refuseLeaver(ctx, c, account); err != nil {
		return "", err
	}
	if who.Key != "" {
		if account.KeyRefused && account.KeyID == coderclient.KeyID(who.Key) {
			return "", accesstoken.Unauthorized(c, "Coder does not accept the key: refresh the session")
		}
		return who.Key, nil
	}
	if !hands {
		return "", echo.NewHTTPError(http.StatusConflict, "there is no Coder key for this user yet: call POST /create-coder-user first")
	}
	return account.APIKey, nil
}

// enter asks Coder for the address. An ordinary call goes before it, as that wakes a dormant
// user where this one would not; a key with a narrow scope may do no more than this one.
func (r *Routes) enter(ctx context.Context, key, to string) (string, error) {
	_, err := r.Apps.Me(ctx, key)
	if err != nil && !errors.Is(err, coderclient.ErrNotFound) && !errors.Is(err, coderclient.ErrForbidden) {
		return "", err
	}
	return r.Apps.AuthRedirect(ctx, key, to)
}

// notLetIn never passes on where Coder would send the user instead: to its own login page.
func (r *Routes) notLetIn(c echo.Context, err error) error {
	switch {
	case errors.Is(err, coderclient.ErrUnauthorized):
		return accesstoken.Unauthorized(c, "Coder does not accept the key: refresh the session")
	case errors.Is(err, coderclient.ErrInactive):
		return echo.NewHTTPError(http.StatusConflict, "Your Coder account is suspended. Ask the operator.")
	case errors.Is(err, coderclient.ErrNotFound), errors.Is(err, coderclient.ErrForbidden):
		return echo.NewHTTPError(http.StatusForbidden, "the key's scope does not allow to open workspace apps")
	case errors.Is(err, coderclient.ErrRefused):
		return echo.NewHTTPError(http.StatusBadRequest, errNotAnApp.Error())
	}
	return r.unavailable(c, err)
}

// wantsJSON reports whether a script asks, which can't read where a redirect leads to.
func wantsJSON(r *http.Request) bool {
	return strings.Contains(strings.Join(r.Header.Values(echo.HeaderAccept), ","), echo.MIMEApplicationJSON)
}
