package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/sender"
	"coderhook/hook"
)

// checkSupabase looks how the access tokens of the two front-end routes are verified. It asks as the server does.
func (d *Doctor) checkSupabase(ctx context.Context) {
	const check = "access tokens"
	if slices.Contains(d.skipped, check) {
		return
	}
	d.checkPages()
	from := d.config.Supabase
	d.checkConfirmation(ctx, from.URL)
	if from.URL == "" {
		d.judgeSecret(from.JWTSecret != "")
		d.checkToken(ctx)
		return
	}
	keys, err := d.config.Tokens.Keys(ctx)
	for _, note := range keys.Notes {
		d.warn(check, cure{do: "look at the project's JWT keys; tokens that are signed with this one are refused"}, "%s", note)
	}
	switch {
	case err != nil:
		d.fail(check, cure{do: "set SUPABASE_URL to the project's address, like https://PROJECT.supabase.co"}, "the project's public keys can't be read: %v", err)
		return
	case keys.Usable == 0 && from.JWTSecret == "":
		d.fail(check, cure{do: "set SUPABASE_JWT_SECRET to the project's JWT secret, or move the project to asymmetric JWT signing keys"}, "the project has no public keys: it signs with a secret")
	case keys.Usable == 0:
		d.ok(check, "by SUPABASE_JWT_SECRET; the project has no public keys")
	default:
		d.ok(check, "by %d public keys of the project", keys.Usable)
	}
	d.checkIssuer(ctx)
	d.checkToken(ctx)
}

func (d *Doctor) judgeSecret(set bool) {
	if !set {
		d.ok("access tokens", "neither SUPABASE_URL nor SUPABASE_JWT_SECRET is set: only the hook is served")
		return
	}
	d.ok("access tokens", "by SUPABASE_JWT_SECRET, of %s issuer", d.config.Tokens.Issuers)
}

// checkIssuer compares what the server expects with what Supabase Auth calls itself.
func (d *Doctor) checkIssuer(ctx context.Context) {
	issuer, where, err := d.config.Tokens.Discover(ctx)
	if err != nil {
		d.ok("issuer", "expected is %s; this version of Supabase Auth does not tell its own (doctor --token tries a real token)", d.config.Tokens.Issuers)
		return
	}
	d.judgeIssuer("issuer", issuer, where)
}

func (d *Doctor) judgeIssuer(check, issuer, where string) {
	expected := d.config.Tokens.Issuers
	switch {
	case expected.Takes(issuer):
		d.ok(check, "%s takes what %s says: %q", expected, where, issuer)
	case issuer == "":
		d.fail(check, cure{do: "set SUPABASE_JWT_ISSUER=any, or GOTRUE_JWT_ISSUER where Supabase Auth runs"},
			"the project's tokens name no issuer, by %s, and expected is %s: all are refused by the front end's routes", where, expected)
	default:
		d.fail(check, cure{do: "set SUPABASE_JWT_ISSUER=" + issuer + " if that is the project's name for itself"},
			"the project's tokens are issued by %q, by %s, and expected is %s: all are refused by the front end's routes", issuer, where, expected)
	}
}

// checkPages tells what works with only one of the two halves of a front end.
func (d *Doctor) checkPages() {
	const check = "pages"
	cors := d.config.CORS
	for _, text := range cors.Warnings() {
		d.warn(check, cure{do: "name the pages one by one in CORS_ORIGINS"}, "%s", text)
	}
	switch {
	case d.config.Tokens == nil && len(cors.Origins) > 0:
		d.warn(check, cure{do: "set SUPABASE_URL (or SUPABASE_JWT_SECRET), or leave CORS_ORIGINS away"}, "CORS_ORIGINS without SUPABASE_URL: the front end's routes answer 501, to those pages too")
	case d.config.Tokens == nil:
	case len(cors.Origins) == 0:
		d.ok(check, "CORS_ORIGINS is not set: servers may call the front end's routes, and pages of the same origin, but no page of another one")
	default:
		d.ok(check, "of %s", strings.Join(cors.Origins, ", "))
	}
}

// lastIssuer judges what the hook says of the last event that it got.
func (d *Doctor) lastIssuer(answer sender.Answer) {
	seen := answer.Header.Values(hook.LastIssuerHeader)
	if len(seen) == 1 && d.config.Tokens != nil {
		d.judgeIssuer("issuer of the last sign-in", strings.TrimPrefix(seen[0], hook.LastIssuerPrefix), "the running hook")
	}
}

// checkConfirmation asks whether Supabase wants a proof of addresses, where Coder gives an account to whoever has its
// address.
func (d *Doctor) checkConfirmation(ctx context.Context, base string) {
	const check = "confirmed addresses"
	if !config.SingleSignOn(d.config.Coder.LoginType) {
		return
	}
	turnOff := cure{do: "turn \"Confirm email\" on in the project's Authentication settings (enable_confirmations = true under [auth.email] of a local project), or set CODER_LOGIN_TYPE=auto"}
	if base == "" {
		d.warn(check, turnOff, "CODER_LOGIN_TYPE=%s gives an account to whoever has its address; whether Supabase confirms addresses is not known without SUPABASE_URL", d.config.Coder.LoginType)
		return
	}
	auto, err := confirmsByItself(ctx, base)
	switch {
	case err != nil:
		d.warn(check, turnOff, "whether Supabase confirms addresses can't be read: %v", err)
	case auto:
		d.fail(check, turnOff, "Supabase takes every address as confirmed, and CODER_LOGIN_TYPE=%s gives an account to whoever has its address: who signs up with somebody else's address gets an account that this person's first login to Coder lands in", d.config.Coder.LoginType)
	default:
		d.ok(check, "Supabase confirms them, and nobody else gets an account")
	}
}

// confirmsByItself asks Supabase Auth, which tells it to everybody; a hosted project's gateway wants a key, though.
func confirmsByItself(ctx context.Context, base string) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/auth/v1/settings", nil)
	if err != nil {
		return false, err
	}
	response, err := sender.NewClient().Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s answers %s", request.URL.Path, response.Status)
	}
	var settings struct {
		Autoconfirm *bool `json:"mailer_autoconfirm"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&settings); err != nil {
		return false, fmt.Errorf("%s: %w", request.URL.Path, err)
	}
	if settings.Autoconfirm == nil {
		return false, fmt.Errorf("%s does not say", request.URL.Path)
	}
	return *settings.Autoconfirm, nil
}
