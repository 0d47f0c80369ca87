package frontend

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"coderhook/coderclient"
)

// errNotAnApp says that an address is well-formed, but not one of Coder's workspace apps.
var errNotAnApp = errors.New("redirect_uri is not the address of a workspace app")

// parseAppURI takes an absolute http or https address without anything that two programs could
// read in two ways. What goes on is the address put together anew from its parts.
func parseAppURI(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("redirect_uri is missing")
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return nil, errors.New("redirect_uri holds blanks, backslashes, control characters or letters that have to be percent-encoded")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("redirect_uri is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.Opaque != "":
		return nil, errors.New("redirect_uri is not an absolute http or https URL")
	case u.User != nil:
		return nil, errors.New("redirect_uri holds a user name or password")
	case rewritten(u.RawPath, u.EscapedPath()), rewritten(u.RawFragment, u.EscapedFragment()):
		return nil, errors.New("redirect_uri is percent-encoded only in part")
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

// rewritten: an escape does not survive that the address is put together anew, so that %2F would
// become a slash. It is so beside a character that should have been escaped, too.
func rewritten(came, goes string) bool { return came != goes && strings.Contains(came, "%") }

// appAddresses are where Coder's workspace apps are.
type appAddresses struct {
	wildcards []string   // as "*.apps.example.com:8443"
	proxies   []*url.URL // access URLs of workspace proxies
	missing   error      // why the proxies are not known, or nil
}

// readAppHosts asks Coder for its own host and for those of its workspace proxies. Without the proxies, users can
// still be sent to the others.
func readAppHosts(ctx context.Context, apps Apps) (appAddresses, error) {
	host, err := apps.ApplicationHost(ctx)
	if err != nil {
		return appAddresses{}, err
	}
	hosts := appAddresses{}
	hosts.add(host, "")
	regions, err := apps.Regions(ctx)
	if err != nil && !errors.Is(err, coderclient.ErrRouteNotFound) { // an older Coder has none
		hosts.missing = err
	}
	for _, region := range regions {
		if region.IsProxy() { // Coder's own address is no app's
			hosts.add(region.WildcardHostname, region.PathAppURL)
		}
	}
	return hosts, nil
}

func (h *appAddresses) add(wildcard, access string) {
	if wildcard != "" {
		h.wildcards = append(h.wildcards, wildcard)
	}
	if u, err := url.Parse(strings.ToLower(access)); err == nil && u.Hostname() != "" {
		h.proxies = append(h.proxies, u)
	}
}

func (h appAddresses) none() bool { return len(h.wildcards)+len(h.proxies) == 0 }

// has reports whether an address is one of an app, or of a page of a workspace proxy that shows apps by their path.
func (h appAddresses) has(u *url.URL) bool {
	return slices.ContainsFunc(h.wildcards, func(wildcard string) bool { return isApp(u, wildcard) }) ||
		slices.ContainsFunc(h.proxies, func(p *url.URL) bool { return u.Hostname() == p.Hostname() && samePort(u, p.Port()) })
}

// isApp reports whether an address lies under the wildcard host of Coder's apps, as
// "*.apps.example.com" or "*--apps.example.com:8443": one label stands for the asterisk, or its
// beginning does. The port has to be the same: on another one somebody else may listen.
func isApp(u *url.URL, wildcard string) bool {
	host, port, _ := strings.Cut(strings.ToLower(wildcard), ":")
	suffix, isWildcard := strings.CutPrefix(host, "*")
	_, base, labels := strings.Cut(suffix, ".")
	name, under := strings.CutSuffix(u.Hostname(), suffix)
	return isWildcard && labels && base != "" && under && isLabel(name) && samePort(u, port)
}

func isLabel(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}

// samePort: Coder itself decides between http and https, so both standard ports are none.
func samePort(u *url.URL, port string) bool {
	return standard(u.Port()) == standard(port)
}

func standard(port string) string {
	if port == "80" || port == "443" {
		return ""
	}
	return port
}
