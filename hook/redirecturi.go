package hook

import (
	"errors"
	"net/url"
	"strings"
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
