package hook

import (
	"net/http"
	"strings"
	"testing"

	"coderhook/hook/authtest"

	"github.com/google/uuid"
)

// mintWith posts an event whose claims name this issuer (nil: none).
func (f *front) mintWith(t *testing.T, issuer any, method string) reply {
	t.Helper()
	user := uuid.New()
	claims := claimsOf(user, "")
	if claims["iss"] = issuer; issuer == nil {
		delete(claims, "iss")
	}
	body := authtest.JSON(t, map[string]any{"user_id": user.String(), "claims": claims, "authentication_method": method})
	return f.post(t, body, authtest.Sign(t, authtest.SecretA, uuid.NewString(), f.Now(), body))
}

// The first sign-in whose tokens our own routes will refuse is told in the log, once, and doctor can ask.
func TestIssuerOfEvents(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	const warning = "will be refused by the front end's routes"
	warned := func() int { return strings.Count(f.log.String(), warning) }
	last := func() string { return f.mintWith(t, nil, DoctorMethod).header.Get(LastIssuerHeader) }
	if got := last(); got != "" {
		t.Errorf("before any event: %q", got)
	}
	f.mintWith(t, f.project.Url+"/auth/v1", "password")
	f.mintWith(t, SendIssuer, "password")
	if got := last(); got != "iss="+f.project.Url+"/auth/v1" || warned() != 0 {
		t.Errorf("the expected one: %q, %d warnings", got, warned())
	}
	for _, issuer := range []any{nil, "http://localhost:54321/auth/v1", 7, map[string]any{"a": 1}, "x\r\ny: z"} {
		if got := f.mintWith(t, issuer, "password"); got.status != http.StatusOK || got.header.Get(LastIssuerHeader) != "" {
			t.Errorf("%v: %d %s %v", issuer, got.status, got.body, got.header)
		}
	}
	if got := last(); got != "iss=x??y: z" || warned() != 1 {
		t.Errorf("%q, %d warnings", got, warned())
	}
	if log := f.log.String(); !strings.Contains(log, `"found":"nobody (iss is missing)","expected":"`+f.project.Url+`/auth/v1"`) {
		t.Errorf("log:\n%s", log)
	}
	f.send(t, http.MethodPost, "/hooks/custom-access-token", "", nil, strings.NewReader(`{"authentication_method":"coderhook doctor"}`)).
		wantRefusal(t, "unsigned", http.StatusUnauthorized, "")
}

func TestNobodyMindsTheIssuerWithoutAFrontEnd(t *testing.T) {
	t.Parallel()
	s := patient()
	s.server = func(server *Server) { server.FrontEnd.Callers.Tokens = nil }
	f := newFront(t, s)
	f.mintWith(t, nil, "password")
	if strings.Contains(f.log.String(), "refused by the front end") {
		t.Errorf("log:\n%s", f.log.String())
	}
}
