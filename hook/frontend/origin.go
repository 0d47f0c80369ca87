package frontend

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// appSchemes are those of pages that come with an app or an extension, and not from a server.
var appSchemes = []string{"capacitor", "ionic", "tauri", "chrome-extension", "moz-extension", "safari-web-extension"}

const originExample = "write it like https://app.example.com, without a path or a slash at the end"

// normalOrigin writes an origin as a browser sends it, as it is compared byte for byte: in lower case, without the
// scheme's own port, and in punycode. One label "*." may stand before the rest of the host.
func normalOrigin(origin string) (string, error) {
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Host == "" || strings.ContainsAny(origin, "?#%\\\" ") || u.User != nil:
		return "", errors.New(originExample)
	case slices.Contains(appSchemes, u.Scheme):
		return appOrigin(u, origin)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("%s; other schemes than http and https are taken for apps and extensions: %s", originExample, strings.Join(appSchemes, ", "))
	}
	host, err := normalHost(u.Hostname())
	if err != nil {
		return "", err
	}
	normal := u.Scheme + "://" + host
	if port := u.Port(); port != "" && !ownPort(u.Scheme, port) {
		normal += ":" + port
	}
	if u.Path != "" {
		return "", fmt.Errorf("write it without a path or a slash at the end: %s", normal)
	}
	return normal, nil
}

func ownPort(scheme, port string) bool {
	return scheme == "http" && port == "80" || scheme == "https" && port == "443"
}

// appOrigin has no port, and its host stays as it is written.
func appOrigin(u *url.URL, origin string) (string, error) {
	isLetter := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.'
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return !isLetter(r) }) || u.Path != "" || u.Port() != "" {
		return "", fmt.Errorf("write %s with its name alone, like capacitor://localhost", origin)
	}
	return u.Scheme + "://" + u.Host, nil
}

// normalHost takes names and addresses, as they stand in an Origin header.
func normalHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		if addr.Is6() {
			return "[" + addr.String() + "]", nil
		}
		return addr.String(), nil
	}
	base, isWildcard := strings.CutPrefix(host, "*.")
	name := strings.ToLower(base)
	if strings.ContainsFunc(name, func(r rune) bool { return r > '~' }) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return "", errors.New("its host is not a name that a browser takes")
		}
		name = ascii
	}
	switch {
	case strings.Contains(name, "*"):
		return "", errors.New("an asterisk may only stand for the first label: https://*.preview.example.com")
	case strings.HasSuffix(name, "."), strings.HasPrefix(name, "."), strings.Contains(name, ".."), !isHost(name):
		return "", errors.New("its host is not a name; " + originExample)
	case isWildcard:
		return "*." + name, nil
	}
	return name, nil
}

func isHost(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	})
}

// acrossPublicSuffix is the host behind the asterisk of an origin if strangers can have names under it.
func acrossPublicSuffix(origin string) (string, bool) {
	_, host, isWildcard := strings.Cut(origin, "://*.")
	if !isWildcard {
		return "", false
	}
	host, _, _ = strings.Cut(host, ":")
	suffix, listed := publicsuffix.PublicSuffix(host)
	isPublic := listed || strings.Contains(suffix, ".") // else it is a name of some network, like localhost
	return host, suffix == host && isPublic
}

// matches reports whether a browser's Origin is the one that is allowed, or lies one label under its asterisk.
func matches(allowed, origin string) bool {
	scheme, rest, isWildcard := strings.Cut(allowed, "://*.")
	if !isWildcard {
		return origin == allowed
	}
	name, under := strings.CutPrefix(origin, scheme+"://")
	label, fits := strings.CutSuffix(name, "."+rest)
	return under && fits && isLabel(label)
}
