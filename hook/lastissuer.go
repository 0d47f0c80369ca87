package hook

import (
	"sync"

	"coderhook/hook/accesstoken"
	"coderhook/hook/webhook"

	"github.com/labstack/echo/v4"
)

// LastIssuerHeader is in the answer to doctor's signed call: the issuer in the claims of the last event that this
// replica got. LastIssuerPrefix stands before it, as a header must not be empty where the claims named none.
const (
	LastIssuerHeader = "Coderhook-Last-Issuer"
	LastIssuerPrefix = "iss="
)

// Events of our own commands are known by these: those of doctor by their method, those of send by their issuer.
const (
	DoctorMethod = "coderhook doctor"
	SendIssuer   = "coderhook send"
)

// issuerWatch remembers the issuer of the last event, and warns once.
type issuerWatch struct {
	mu     sync.Mutex
	seen   bool
	last   string
	warned bool
}

// note returns whether this is the first time that a real event's issuer is not taken.
func (w *issuerWatch) note(issuer string, taken bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen, w.last = true, issuer
	first := !taken && !w.warned
	w.warned = w.warned || first
	return first
}

// tell is the last issuer for a header.
func (w *issuerWatch) tell() (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return LastIssuerPrefix + accesstoken.Shown(w.last), w.seen
}

// lastIssuer compares the issuer of a signed event with what the front end's routes expect: the same tokens will
// come back there, and be refused.
func (s *Server) lastIssuer(c echo.Context, ev *webhook.Event) {
	if ev.Method == DoctorMethod {
		if last, seen := s.issuers.tell(); seen {
			c.Response().Header().Set(LastIssuerHeader, last)
		}
		return
	}
	issuer := string(ev.Deciding.Issuer)
	if issuer == SendIssuer {
		return
	}
	var tokens *accesstoken.Verifier
	if s.FrontEnd != nil {
		tokens = s.FrontEnd.Callers.Tokens
	}
	if s.issuers.note(issuer, tokens == nil || tokens.Issuers.Takes(issuer)) {
		s.Log.Warn().Str("found", accesstoken.ShownIssuer(issuer)).Stringer("expected", tokens.Issuers).
			Msg("the project's access tokens will be refused by the front end's routes: see SUPABASE_JWT_ISSUER, and coderhook doctor")
	}
}
