package codertest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	textSignedOut = "You are signed out or your session has expired. Please sign in again to continue."
	textNotActive = `User is not active (status = "%s"). Contact an admin to reactivate your account.`
)

// why says why a caller was turned away.
type why struct {
	status          int // default 401
	message, detail string
}

// credential looks in the order that Coder does; the first hit counts, however bad.
func (e *exchange) credential() string {
	if c, err := e.r.Cookie("coder_session_token"); err == nil && c.Value != "" {
		return c.Value
	}
	if q := e.r.URL.Query().Get("coder_session_token"); q != "" {
		return q
	}
	if h := e.r.Header.Get("Coder-Session-Token"); h != "" || e.version < v2x31 {
		return h
	}
	if bearer, ok := strings.CutPrefix(e.r.Header.Get("Authorization"), "Bearer "); ok {
		return bearer
	}
	return e.r.URL.Query().Get("access_token")
}

// identify gives the key that a credential stands for, without using it.
func (e *exchange) identify(credential string) (*apiKey, *why) {
	if credential == "" {
		return nil, &why{detail: `Cookie "coder_session_token" or query parameter must be provided.`}
	}
	const format = "Invalid API key format: "
	parts := strings.Split(credential, "-")
	switch {
	case len(parts) != 2:
		return nil, &why{detail: fmt.Sprintf(format+"incorrect amount of API key parts, expected 2 got %d", len(parts))}
	case len(parts[0]) != 10:
		return nil, &why{detail: fmt.Sprintf(format+"invalid API key ID length, expected 10 got %d", len(parts[0]))}
	case len(parts[1]) != 22:
		return nil, &why{detail: fmt.Sprintf(format+"invalid API key secret length, expected 22 got %d", len(parts[1]))}
	}
	k := e.keyByID(parts[0])
	switch {
	case k == nil:
		return nil, &why{detail: "API key is invalid."}
	case k.secret != parts[1]:
		return nil, &why{detail: "API key secret is invalid."}
	case k.expires.Before(e.time()):
		return nil, &why{detail: fmt.Sprintf("API key expired at %q.", k.expires)}
	}
	return k, nil
}

// authenticate finds the caller and marks the use of the key.
func (e *exchange) authenticate(a access) *why {
	k, no := e.identify(e.credential())
	if no != nil {
		no.message = textSignedOut
		return no
	}
	user := e.accountByID(k.user)
	e.use(k, user)
	if user.status == "dormant" && (a == keyed || e.version < v2x31) {
		user.status = "active"
	}
	if user.status != "active" {
		return &why{message: fmt.Sprintf(textNotActive, user.status)}
	}
	if e.lacksCSRF() {
		return &why{status: http.StatusBadRequest}
	}
	e.caller, e.key, e.rec.As = user, k, user.username
	return nil
}

// use notes the time, at most hourly for the key, and lets its expiry slide where it does.
func (e *exchange) use(k *apiKey, user *account) {
	now, whole := e.time(), time.Duration(k.lifetimeSeconds)*time.Second
	user.seen, user.updated = now, now
	if now.Sub(k.used) > time.Hour {
		k.used = now
	}
	if e.settings.SlidingExpiry && k.expires.Sub(now) <= whole-time.Hour {
		k.expires = now.Add(whole)
	}
}

// lacksCSRF: a browser's cookie alone is no proof of intent.
func (e *exchange) lacksCSRF() bool {
	_, err := e.r.Cookie("coder_session_token")
	return err == nil && e.r.Method != http.MethodGet && e.r.Header.Get("Coder-Session-Token") == ""
}

func (e *exchange) turnedAway(a access, no why) reply {
	switch {
	case no.status == http.StatusBadRequest:
		return textReply(no.status, "Something is wrong with your CSRF token. Please refresh the page. "+
			"If this error persists, try clearing your cookies.\n")
	case a == redirected:
		query := url.Values{"message": {no.message}, "redirect": {e.r.URL.RequestURI()}}
		return reply{status: http.StatusSeeOther, location: "/login?" + query.Encode()}
	}
	rep := refusal(http.StatusUnauthorized, no.message, no.detail)
	if e.version >= v2x31 {
		rep.header.Set("Www-Authenticate", e.challenge(no.message))
	}
	return rep
}

// challenge goes by the message alone, which speaks of expiry whatever the cause.
func (e *exchange) challenge(message string) string {
	description := "The access token is invalid"
	if strings.Contains(message, "expired") {
		description = "The access token has expired"
	}
	return fmt.Sprintf(`Bearer realm="coder", error="invalid_token", error_description=%q, resource_metadata=%q`,
		description, e.URL+"/.well-known/oauth-protected-resource")
}
