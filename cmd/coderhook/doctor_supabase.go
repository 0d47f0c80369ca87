package main

import (
	"context"
	"slices"
	"strings"

	"coderhook/cmd/internal/sender"
	"coderhook/hook"
)

// checkSupabase is about how the access tokens of the two front-end routes are verified. It asks as the server does.
func (d *doctor) checkSupabase(ctx context.Context) {
	const check = "access tokens"
	if slices.Contains(d.skipped, check) {
		return
	}
	d.checkPages()
	from := d.config.Supabase
	d.checkConfirmation(ctx, from.URL)
	if from.URL == "" {
		d.judgeSecret(from.JWTSecret)
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
	case keys.Usable == 0 && !from.JWTSecret:
		d.fail(check, cure{do: "set SUPABASE_JWT_SECRET to the project's JWT secret, or move the project to asymmetric JWT signing keys"}, "the project has no public keys: it signs with a secret")
	case keys.Usable == 0:
		d.ok(check, "by SUPABASE_JWT_SECRET; the project has no public keys")
	default:
		d.ok(check, "by %d public keys of the project", keys.Usable)
	}
	d.checkIssuer(ctx)
	d.checkToken(ctx)
}

func (d *doctor) judgeSecret(set bool) {
	if !set {
		d.ok("access tokens", "neither SUPABASE_URL nor SUPABASE_JWT_SECRET is set: only the hook is served")
		return
	}
	d.ok("access tokens", "by SUPABASE_JWT_SECRET, of %s issuer", d.config.Tokens.Issuers)
}

// checkIssuer compares what the server expects with what Supabase Auth calls itself.
func (d *doctor) checkIssuer(ctx context.Context) {
	issuer, where, err := d.config.Tokens.Discover(ctx)
	if err != nil {
		d.ok("issuer", "expected is %s; this version of Supabase Auth does not tell its own (doctor --token tries a real token)", d.config.Tokens.Issuers)
		return
	}
	d.judgeIssuer("issuer", issuer, where)
}

func (d *doctor) judgeIssuer(check, issuer, where string) {
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
func (d *doctor) checkPages() {
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

// lastIssuer is what the hook says of the last event that it got.
func (d *doctor) lastIssuer(answer sender.Answer) {
	seen := answer.Header.Values(hook.LastIssuerHeader)
	if len(seen) == 1 && d.config.Tokens != nil {
		d.judgeIssuer("issuer of the last sign-in", strings.TrimPrefix(seen[0], hook.LastIssuerPrefix), "the running hook")
	}
}
