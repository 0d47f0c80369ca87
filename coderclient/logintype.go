package coderclient

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"sync"
)

const (
	loginAuto     = "auto"
	loginNone     = "none"
	loginPassword = "password"
)

// textNoneRefused is how Coder 2.36 and later answer a login type that earlier ones want; the version itself says
// too little, as a licence may allow it again.
const textNoneRefused = "Login type 'none' requires a service account."

func knownLoginType(name string) bool {
	return slices.Contains([]string{"", loginAuto, loginNone, loginPassword, "oidc", "github"}, name)
}

// loginTypes remembers what the server accepts for new users: none until it refuses that, then a password that nobody
// knows. Another version of Coder is asked anew, so that an upgrade while running is noticed.
type loginTypes struct {
	wanted string

	mu          sync.Mutex
	version     string
	noneRefused bool
}

func (l *loginTypes) sawVersion(version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if version != l.version {
		l.version, l.noneRefused = version, false
	}
}

func (l *loginTypes) choice() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.wanted != loginAuto:
		return l.wanted
	case l.noneRefused:
		return loginPassword
	}
	return loginNone
}

// refused reports whether e is about the login type that was tried, and another one is to be tried. It remembers.
func (l *loginTypes) refused(tried string, e *Error) bool {
	if l.wanted != loginAuto || tried != loginNone ||
		e.Status != http.StatusBadRequest || e.Message != textNoneRefused {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.version == l.version {
		l.noneRefused = true
	}
	return true
}

// throwawayPassword has 32 random bytes in 43 characters; Coder takes up to 64.
func throwawayPassword() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	return base64.RawURLEncoding.EncodeToString(raw)
}
