package gateway

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

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
		scheme, token, _ := strings.Cut(headers[0], " ")
		if token = strings.TrimSpace(token); strings.EqualFold(scheme, "Bearer") && token != "" {
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
