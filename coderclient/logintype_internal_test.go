package coderclient

import (
	"net/http"
	"testing"
)

// TestRefusalOfAnotherVersion: during a rolling upgrade an old and a new server answer in turn. What the new one
// refuses is tried again with the old one, which was seen last.
func TestRefusalOfAnotherVersion(t *testing.T) {
	t.Parallel()
	l := loginTypes{wanted: loginAuto}
	l.sawVersion("v2.36.0")
	l.sawVersion("v2.31.3")
	refusal := &Error{Status: http.StatusBadRequest, Message: textNoneRefused, version: "v2.36.0"}
	if !l.refused(loginNone, refusal) {
		t.Error("the call itself falls back")
	}
	if got := l.choice(); got != loginNone {
		t.Errorf("the next call tries %s", got)
	}
}
