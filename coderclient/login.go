package coderclient

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
)

// ErrLogin says that not Coder answered, but a proxy in front of it that takes nobody who has not logged in there.
// It is an ErrUnavailable too.
var ErrLogin = errors.New("CODER_URL is behind a proxy that wants a login")

// NotCoder names who answered in Coder's place, as far as status and header tell; nil for an answer of Coder's. It shows
// no more of an address than its host.
func NotCoder(status int, header http.Header, asked *url.URL) error {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	location, err := asked.Parse(header.Get("Location"))
	switch {
	case header.Get(headerVersion) != "":
		return nil
	case status >= 300 && status < 400 && err == nil && onlyScheme(asked, location):
		return fmt.Errorf("%w, but a redirect to %s://%s: is that Coder's address?", errNotCoder, location.Scheme, location.Host)
	case status >= 300 && status < 400 && err == nil && header.Get("Location") != "":
		return fmt.Errorf("%w: it redirects to %s", ErrLogin, location.Host)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%w: %s answers %d in Coder's place", ErrLogin, proxyName(header), status)
	case status == http.StatusOK && kind == "text/html":
		return fmt.Errorf("%w: %s answers with a page, where Coder has none", ErrLogin, proxyName(header))
	}
	return errNotCoder
}

// onlyScheme reports whether a redirect leads to the same place by https, say.
func onlyScheme(asked, location *url.URL) bool {
	return location.Scheme != asked.Scheme && location.Hostname() == asked.Hostname() && location.Path == asked.Path
}

// proxyName knows the one that most have.
func proxyName(header http.Header) string {
	if header.Get("Cf-Ray") != "" || header.Get("Server") == "cloudflare" {
		return "Cloudflare"
	}
	return "somebody"
}
