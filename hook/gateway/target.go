package gateway

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"coderhook/hook/accesstoken"
)

// target is what of Coder's a request is for. It holds the very bytes that are sent to Coder.
type target struct {
	method string // webSocket for one
	path   string // in its normal form
	query  string
}

// carriers are parameters in which Coder takes keys. No key belongs into a URL.
var carriers = []string{
	"coder_session_token", "access_token", "coder_application_connect_api_key", "coder_signed_app_token",
}

// readTarget reads the request's own line, not what was made of it: nothing is decoded, so that nothing can be
// decoded again behind us.
func readTarget(r *http.Request, prefix string) (target, *Refusal) {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	path, below := strings.CutPrefix(path, prefix)
	t := target{method: r.Method, path: path, query: query}
	if isUpgrade(r.Header) {
		if no := checkUpgrade(r); no != nil {
			return t, no
		}
		t.method = webSocket
	}
	if !below || !isNormalPath(path) {
		return t, notNormal.refusal()
	}
	return t, checkQuery(query)
}

// IsPrefix reports whether a path can stand before Coder's own, and is none of this server's other routes.
func IsPrefix(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return isNormalPath(path) && !slices.Contains([]string{"hooks", "create-coder-user", "applications", "healthz", "readyz"}, first)
}

// isNormalPath reports whether there is only one way to read the path.
func isNormalPath(path string) bool {
	if !strings.HasPrefix(path, "/") {
		return false
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if !isNormal(segment) {
			return false
		}
	}
	return true
}

// isNormal reports whether a segment has only what never needs escaping, and is no step to elsewhere. Coder's own
// names have nothing else.
func isNormal(segment string) bool {
	for i := range len(segment) {
		switch c := segment[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
		default:
			return false
		}
	}
	return segment != "" && strings.Trim(segment, ".") != ""
}

// checkQuery refuses keys, in every way to write their names, and what two servers could read in two ways.
func checkQuery(query string) *Refusal {
	if len(query) > maxQuery {
		return refusal(http.StatusRequestURITooLong, "query", "the query is larger than 16 KiB")
	}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		_, valueErr := url.QueryUnescape(value)
		if err != nil || valueErr != nil || strings.Contains(part, ";") {
			return refusal(http.StatusBadRequest, "query", "the query can't be read: escape ; and % in it")
		}
		if slices.ContainsFunc(carriers, func(c string) bool { return strings.Contains(strings.ToLower(name), c) }) {
			return refusal(http.StatusBadRequest, "credential-in-url", "a token or key stands in the URL: send Authorization: Bearer, or for a WebSocket the subprotocol")
		}
	}
	return nil
}

// maxQuery bounds a query, in bytes.
const maxQuery = 16 << 10

// isUpgrade reports whether a request asks for another protocol in any way.
func isUpgrade(h http.Header) bool {
	return len(h.Values("Upgrade")) > 0 || slices.ContainsFunc(tokens(h, "Connection"), func(s string) bool { return strings.EqualFold(s, "upgrade") }) ||
		len(h.Values("Http2-Settings")) > 0
}

// checkUpgrade lets WebSockets through, and no other protocol: behind its upgrade nobody would look any more.
func checkUpgrade(r *http.Request) *Refusal {
	h := r.Header
	key := h.Values("Sec-Websocket-Key")
	upgrade := tokens(h, "Upgrade")
	switch {
	case len(upgrade) != 1 || !strings.EqualFold(upgrade[0], "websocket") || len(h.Values("Http2-Settings")) > 0:
		return refusal(http.StatusBadRequest, "upgrade", "only WebSockets can be upgraded to")
	case r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1,
		!slices.ContainsFunc(tokens(h, "Connection"), func(s string) bool { return strings.EqualFold(s, "upgrade") }):
		return refusal(http.StatusBadRequest, "upgrade", "a WebSocket is opened by GET over HTTP/1.1, with Connection: Upgrade")
	case len(key) != 1 || len(key[0]) != 24 || !slices.Equal(h.Values("Sec-Websocket-Version"), []string{"13"}):
		return refusal(http.StatusBadRequest, "upgrade", "a WebSocket needs one Sec-WebSocket-Key, and version 13")
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return refusal(http.StatusBadRequest, "upgrade", "a WebSocket's request has no body")
	}
	return nil
}

// tokens are the parts of a header that is a list, from all its lines.
func tokens(h http.Header, name string) (list []string) {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
	}
	return list
}

// The subprotocols that are for the gateway. A browser can set no header on a WebSocket but this one; Kubernetes takes
// its tokens in the same way.
const (
	ownProtocol   = "coderhook.v1"
	tokenProtocol = "base64url.bearer.authorization.coderhook."
)

// protocols are a WebSocket's subprotocols, sorted by whom they are for.
type protocols struct {
	own    bool     // the client knows ours
	tokens []string // as they came
	coder  []string // what goes on
}

func readProtocols(h http.Header) (p protocols) {
	for _, name := range tokens(h, "Sec-Websocket-Protocol") {
		token, isToken := cutPrefixFold(name, tokenProtocol)
		switch {
		case isToken:
			p.tokens = append(p.tokens, token)
		case strings.EqualFold(name, ownProtocol):
			p.own = true
		default:
			p.coder = append(p.coder, name)
		}
	}
	return p
}

// cutPrefixFold takes a prefix off in any case, so that no spelling of it goes on.
func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// selected is the subprotocol of the answer: Coder's, or ours where Coder took none, as a browser gives up when it
// offered some and gets none. Coder may only take what it was offered.
func (p protocols) selected(answer []string) (string, bool) {
	switch {
	case len(answer) == 0 && p.own:
		return ownProtocol, true
	case len(answer) == 0:
		return "", true
	}
	return answer[0], len(answer) == 1 && slices.Contains(p.coder, answer[0])
}

// bearer is the one access token of a request. Two of them would let two servers see two callers.
func bearer(r *http.Request, p protocols) (string, *Refusal) {
	headers := r.Header.Values("Authorization")
	switch {
	case len(headers)+len(p.tokens) == 0:
		return "", refusal(http.StatusUnauthorized, "token", "send the user's Supabase access token: Authorization: Bearer <token>")
	case len(headers)+len(p.tokens) > 1:
		return "", refusal(http.StatusBadRequest, "token", "more than one access token: send one, in the header Authorization or as a subprotocol")
	case len(headers) == 1:
		if token, ok := accesstoken.Bearer(headers[0]); ok {
			return token, nil
		}
		return "", refusal(http.StatusUnauthorized, "token", "send the user's Supabase access token: Authorization: Bearer <token>")
	case !p.own:
		return "", refusal(http.StatusBadRequest, "token", "offer the subprotocol "+ownProtocol+" beside the one with the token")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(p.tokens[0])
	if err != nil || len(raw) == 0 {
		return "", refusal(http.StatusUnauthorized, "token", "the subprotocol does not hold an access token in base64url without padding")
	}
	return string(raw), nil
}
