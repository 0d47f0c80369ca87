package main

import (
	"context"
	"errors"

	"coderhook/coderclient"
)

// checkLogins looks for ways into a user's Coder account that go past Supabase: what REQUIRE_AAL asks for is not
// asked there.
func (d *doctor) checkLogins(ctx context.Context, coder *coderclient.Client) {
	const check = "logins to Coder"
	methods, err := coder.AuthMethods(ctx)
	if err != nil {
		d.warn(check, cure{do: "see what Coder's log says, and try again"}, "%v", err)
		return
	}
	login := d.config.Coder.LoginType
	withPassword := login == "password" || login == "auto" && d.coderVersion.refusesNone()
	switch {
	case !withPassword:
		d.ok(check, "new users have the login type %s, and no password", login)
	case !bool(methods.Password):
		d.fail(check, cure{do: "set CODER_LOGIN_TYPE=oidc or github, whichever Coder has"}, "new users would have a password, and password login is off: Coder takes none of them")
	default:
		d.checkMail(ctx, coder, check)
	}
}

// checkMail: with a mail server, "forgot password" gives an account to whoever reads the mail of the address that
// Coder knows, which need not be the one that Supabase knows by now.
func (d *doctor) checkMail(ctx context.Context, coder *coderclient.Client, check string) {
	close := cure{do: "where Coder runs, set CODER_DISABLE_PASSWORD_AUTH=true, and here CODER_LOGIN_TYPE=oidc or github; or let Coder send no mail (CODER_EMAIL_SMARTHOST)"}
	const risk = "new users have a password that nobody knows, password login is on, and Coder sends mail: whoever reads a user's mail can set a password there, past Supabase and REQUIRE_AAL"
	host, err := coder.Smarthost(ctx)
	switch {
	case errors.Is(err, coderclient.ErrForbidden):
		return // the token is no owner's, as was said
	case err != nil:
		d.warn(check, close, "%s (if it does send mail: that can't be read: %v)", risk, err)
	case host != "":
		d.fail(check, close, "%s", risk)
	default:
		d.ok(check, "new users have a password that nobody knows, and Coder sends no mail by which another could be set")
	}
}
