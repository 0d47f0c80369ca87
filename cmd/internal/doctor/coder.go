package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"coderhook/coderclient"

	"github.com/google/uuid"
)

// checkCoder asks all that Coder can tell. Each check says whether the next one makes sense.
func (d *Doctor) checkCoder(ctx context.Context) {
	cfg := d.config.Coder
	if slices.Contains(d.skipped, "Coder") || cfg.URL == "" || coderclient.KeyID(cfg.Token()) == "" {
		return
	}
	coder, err := coderclient.New(cfg)
	if err != nil {
		d.fail("Coder", cure{do: "correct CODER_URL; it is Coder's address, like https://coder.example.com"}, "%v", err)
		return
	}
	d.checkWay()
	if !d.checkVersion(ctx, coder) {
		return
	}
	d.checkTransport()
	if !d.checkOwner(ctx, coder) {
		return
	}
	d.checkLogins(ctx, coder)
	d.checkAddresses(ctx, coder)
	d.checkOrganization(ctx, coder)
	d.checkAppHost(ctx, coder)
	d.checkLongestToken(ctx, coder)
}

func (d *Doctor) checkVersion(ctx context.Context, coder *coderclient.Client) bool {
	asked := d.Now()
	info, err := coder.BuildInfo(ctx)
	switch {
	case errors.Is(err, coderclient.ErrLogin):
		d.fail("Coder", cure{do: loginCure}, "%v (skipped because of this: the owner's token, organization, application host)", err)
		return false
	case err != nil:
		d.fail("Coder", cure{do: "see that CODER_URL is Coder's access URL, and that it can be reached from here"},
			"%v (skipped because of this: the owner's token, organization, application host)", err)
		return false
	case info.WorkspaceProxy:
		d.fail("Coder", cure{do: "set CODER_URL=" + info.DashboardURL}, "CODER_URL is a workspace proxy, which has no users (skipped because of this: the owner's token, organization, application host)")
		return false
	}
	v := parseCoderVersion(info.Version)
	d.coderVersion = v
	if d.config.Coder.LoginType == "none" && v.refusesNone() {
		d.fail("Coder", cure{do: "set CODER_LOGIN_TYPE=auto"}, "%s refuses new users with the login type none", info.Version)
	} else {
		d.ok("Coder", "%s: %s", info.Version, v.implies())
	}
	if !info.Date.IsZero() {
		d.checkClock("clock of Coder", asked, d.Now(), info.Date, time.Second)
	}
	return true
}

// checkTransport warns of http, as the owner's token is in every request.
func (d *Doctor) checkTransport() {
	u, err := url.Parse(d.config.Coder.URL)
	if err == nil && u.Scheme == "http" && !isLocal(u.Hostname()) {
		d.warn("Coder's address", cure{do: "set CODER_URL to an address with https://, or keep this traffic in a network of your own"}, "the owner's token and all keys travel unencrypted, by http")
	}
}

// checkOwner reports whether Coder takes the token.
func (d *Doctor) checkOwner(ctx context.Context, coder *coderclient.Client) bool {
	const check = "owner's token"
	renew := cure{do: "log in to Coder as an owner, run: coder tokens create --lifetime 168h, and set CODER_OWNER_TOKEN to what it prints"}
	me, err := coder.Me(ctx, d.config.Coder.Token())
	switch {
	case errors.Is(err, coderclient.ErrNotFound):
		d.fail(check, renew, "its scope is too narrow: it may not even read its own user (skipped because of this: organization, application host)")
	case err != nil:
		d.fail(check, renew, "%v (skipped because of this: organization, application host)", err)
	case !slices.ContainsFunc(me.Roles, func(r coderclient.Role) bool { return r.Name == "owner" }):
		d.fail(check, cure{do: "give " + me.Username + " the role Owner in Coder (Users → Edit roles), or set CODER_OWNER_TOKEN to the token of an owner"},
			"%s is not an owner, and only owners may make keys for others", me.Username)
	default:
		d.checkOwnerKey(ctx, coder, me, renew)
	}
	return err == nil
}

// ownerTokenWarning is how long before its end the owner's token is to be renewed.
const ownerTokenWarning = 48 * time.Hour

func (d *Doctor) checkOwnerKey(ctx context.Context, coder *coderclient.Client, me coderclient.User, renew cure) {
	const check = "owner's token"
	key, err := coder.Key(ctx, me.ID, coderclient.KeyID(d.config.Coder.Token()))
	if err != nil {
		d.warn(check, renew, "is good and an owner's, but its end can't be read: %v", err)
		return
	}
	left := key.ExpiresAt.Sub(d.Now())
	switch {
	case key.LoginType != "token":
		d.warn(check, renew, "is that of a browser's session, and ends when %s logs out", me.Username)
	case left < ownerTokenWarning:
		d.warn(check, renew, "ends in %s, on %s; then no user gets a key any more", left.Round(time.Minute), key.ExpiresAt.Format(time.RFC3339))
	default:
		d.ok(check, "of owner %s, until %s%s", me.Username, key.ExpiresAt.Format(time.DateOnly), d.longest(ctx, coder, me.ID))
	}
}

// longest tells how long Coder lets an owner's token live.
func (d *Doctor) longest(ctx context.Context, coder *coderclient.Client, owner uuid.UUID) string {
	limit, err := coder.MaxTokenLifetime(ctx, owner)
	if err != nil { // not known by old versions
		return ""
	}
	return "; a new one may live for " + strings.TrimSuffix(limit.Round(time.Minute).String(), "0m0s")
}

func (d *Doctor) checkOrganization(ctx context.Context, coder *coderclient.Client) {
	const check = "organization"
	var found coderclient.Organization
	var err error
	name := d.config.Provisioning.Organization
	if name == "" {
		found, err = coder.DefaultOrganization(ctx)
	} else {
		found, err = coder.Organization(ctx, name)
	}
	switch {
	case errors.Is(err, coderclient.ErrNotFound) || errors.Is(err, coderclient.ErrRefused):
		d.fail(check, cure{do: "set CODER_ORGANIZATION to the name or id of one that exists, or leave it away for the default one"}, "Coder has no organization %q", name)
	case err != nil:
		d.fail(check, cure{do: "see what Coder's log says, and try again"}, "%v", err)
	default:
		d.ok(check, "new users go to %s", found.Name)
	}
}

// longLife is more than a token should live that somebody makes with a stolen key.
const longLife = 30 * 24 * time.Hour

// checkLongestToken looks how long the tokens may live that users make themselves. For owners, whom we could always ask
// about, there is another limit.
func (d *Doctor) checkLongestToken(ctx context.Context, coder *coderclient.Client) {
	const check = "longest token"
	if d.member == uuid.Nil {
		return // there is no account yet
	}
	limit, err := coder.MaxTokenLifetime(ctx, d.member)
	switch {
	case err != nil: // not known by old versions
	case limit > longLife:
		d.warn(check, cure{do: "set CODER_MAX_TOKEN_LIFETIME=720h where Coder runs; after a theft, coderhook revoke --all-tokens ends such tokens"},
			"whoever has a user's key can make another that lives for %d days", int(limit.Hours()/24))
	default:
		d.ok(check, "a token that a user makes lives for %s at most", limit)
	}
}

func (d *Doctor) checkAppHost(ctx context.Context, coder *coderclient.Client) {
	const check = "application host"
	host, err := coder.ApplicationHost(ctx)
	switch {
	case err != nil:
		d.warn(check, cure{do: "see what Coder's log says, and try again"}, "%v", err)
	case host == "":
		d.warn(check, cure{do: "set CODER_WILDCARD_ACCESS_URL, like *.apps.example.com, where Coder runs"}, "Coder has none: users can't be sent to workspace apps with an address of their own")
	default:
		d.ok(check, "%s%s", host, proxies(ctx, coder))
	}
}

// proxies names the workspace proxies to whose apps users can be sent, too.
func proxies(ctx context.Context, coder *coderclient.Client) string {
	regions, err := coder.Regions(ctx)
	var names []string
	for _, r := range regions {
		if r.IsProxy() {
			names = append(names, r.Name)
		}
	}
	switch {
	case errors.Is(err, coderclient.ErrRouteNotFound):
		return ""
	case err != nil:
		return fmt.Sprintf("; its workspace proxies can't be read: %v", err)
	case len(names) == 0:
		return ""
	}
	return "; and those of the workspace proxies " + strings.Join(names, ", ")
}
