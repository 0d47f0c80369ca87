package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// What goes through is listed, in both directions: headers that let somebody be somebody else are too many to name, and
// each version of Coder has some more.

// requestHeaders go from the browser to Coder. Its key is added, and where the request came from.
var requestHeaders = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Content-Encoding", "Content-Language", "Content-Type",
	"If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Last-Event-Id", "Range", "User-Agent",
}

// socketHeaders go along where a WebSocket is opened.
var socketHeaders = []string{"Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions"}

// answerHeaders go from Coder to the browser. Location is dealt with apart.
var answerHeaders = []string{
	"Accept-Ranges", "Allow", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length", "Content-Range",
	"Content-Type", "Date", "Etag", "Last-Modified", "Retry-After", "X-Accel-Buffering", "X-Coder-Build-Version", "X-Coder-Request-Id",
	"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset",
}

// sessionHeader is where Coder looks for a key.
const sessionHeader = "Coder-Session-Token"

// only takes what is listed out of h.
func only(list []string, h http.Header) http.Header {
	kept := make(http.Header, len(list))
	for _, name := range list {
		if values := h[name]; len(values) > 0 {
			kept[name] = values
		}
	}
	return kept
}

// answerHeader is what the browser gets of Coder's header, with what keeps an answer to its asker.
func answerHeader(from http.Header) http.Header {
	h := only(answerHeaders, from)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox") // no answer is a page
	return h
}

// relocate writes a Location within Coder's API as one within the gateway. Any other would lead the browser to
// where it has no key, or take one along.
func (g *Gateway) relocate(location string) (string, bool) {
	rest, absolute := strings.CutPrefix(location, g.origin)
	if !absolute && !strings.HasPrefix(location, "/") {
		return "", false
	}
	rest, below := strings.CutPrefix(rest, g.basePath)
	path, query, asks := strings.Cut(rest, "?")
	if !below || !isNormalPath(path) || !strings.HasPrefix(path, apiPrefix+"/") || checkQuery(query) != nil {
		return "", false
	}
	if asks {
		path += "?" + query
	}
	return g.Prefix + path, true
}

// CORS says which pages may call.
type CORS struct {
	Allows      func(origin string) bool // required
	Headers     []string                 // that pages may send beside the gateway's own
	Credentials bool                     // pages may send their cookies along, for a proxy in front that wants them
}

const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Accept, Last-Event-ID, Range, If-None-Match, If-Modified-Since, Cache-Control"
	corsExposed = "Retry-After, WWW-Authenticate, Content-Disposition, Content-Range, ETag, X-Coder-Build-Version, X-Coder-Request-Id, " +
		"X-Ratelimit-Limit, X-Ratelimit-Remaining, X-Ratelimit-Reset"
)

// decorate adds what makes a browser give an answer to the page that asked.
func (c *CORS) decorate(h http.Header, r *http.Request) {
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !c.Allows(origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", corsExposed)
	if c.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// preflight answers a browser that asks whether a page may call.
func (c *CORS) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Access-Control-Request-Method")
	h.Add("Vary", "Access-Control-Request-Headers")
	c.decorate(h, r)
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", strings.Join(slices.Concat([]string{corsHeaders}, c.Headers), ", "))
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}
