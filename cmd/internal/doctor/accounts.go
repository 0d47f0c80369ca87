package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

// addressSample is how many accounts are compared: each is a request to Coder, which limits them.
const addressSample = 100

// checkAddresses compares the addresses of accounts with those of their users: mail of Coder's goes to the one that
// it knows, and nobody else gets an account with it.
func (d *Doctor) checkAddresses(ctx context.Context, coder *coderclient.Client) {
	const check = "addresses of accounts"
	if !d.ledger.Complete() || !d.ledger.Usable || !d.server.IsSupabase {
		return // as was said
	}
	database, err := store.Open(ctx, d.config.Database)
	if err != nil {
		return
	}
	defer database.Close()
	compared, differ, err := compareAddresses(ctx, database, coder)
	switch {
	case err != nil:
		d.warn(check, cure{do: "see what the error says, and try again"}, "%v", err)
	case len(differ) > 0:
		d.warn(check, cure{do: "run coderhook explain --user UUID, and change one of the two addresses"},
			"of %d accounts that were compared, %d have another address in Coder than their users in Supabase, as that of %s", compared, len(differ), strings.Join(differ[:min(3, len(differ))], ", "))
	default:
		d.ok(check, "the same in Coder as in Supabase, in %d that were compared", compared)
	}
}

func compareAddresses(ctx context.Context, database *store.Store, coder *coderclient.Client) (compared int, differ []string, _ error) {
	entries, err := database.Page(ctx, uuid.Nil, addressSample)
	if err != nil {
		return 0, nil, err
	}
	for _, e := range entries {
		if e.CoderUserID == uuid.Nil || e.Status != store.Active {
			continue
		}
		user, err := coder.User(ctx, e.CoderUserID.String())
		if errors.Is(err, coderclient.ErrNotFound) {
			continue
		}
		if err != nil {
			return compared, differ, fmt.Errorf("compare addresses: %w", err)
		}
		having, err := database.AuthUserIDs(ctx, user.Email)
		if err != nil {
			return compared, differ, err
		}
		compared++
		if !slices.Contains(having, e.UserID) {
			differ = append(differ, e.UserID.String())
		}
	}
	return compared, differ, nil
}

// checkLogins looks for ways into a user's Coder account that go past Supabase: what REQUIRE_AAL asks for is not
// asked there.
func (d *Doctor) checkLogins(ctx context.Context, coder *coderclient.Client) {
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

// checkMail finds out whether Coder sends mail: with it, "forgot password" gives an account to whoever reads the mail of the address that
// Coder knows, which need not be the one that Supabase knows by now.
func (d *Doctor) checkMail(ctx context.Context, coder *coderclient.Client, check string) {
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
