package hook

import (
	"strings"
	"testing"

	"coderhook/coderclient/codertest"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Every mint is counted once, by what became of it and why.
func TestMintsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, impatient())
	user := w.db.AddUser(t, "ada@example.com")
	first := w.mint(t, user, "ada@example.com").key(t)
	eventually(t, "stored", func() bool { return w.stored(t, user) == first && w.jobs() == 0 })
	w.mint(t, user, "ada@example.com")
	anonymous := claimsOf(uuid.New(), "")
	anonymous["is_anonymous"] = true
	w.mintClaims(t, uuid.MustParse(anonymous["sub"].(string)), anonymous)
	w.post(t, []byte("{}"), nil)
	w.coder.Fail(codertest.Fault{Method: "POST", Path: "/users", Status: 500})
	w.mint(t, w.db.AddUser(t, "bob@example.com"), "bob@example.com")

	want := `
# HELP coderhook_mints_total Token mints by outcome and reason.
# TYPE coderhook_mints_total counter
coderhook_mints_total{outcome="conflict",reason="no key"} 0
coderhook_mints_total{outcome="injected",reason="key found"} 1
coderhook_mints_total{outcome="injected",reason="key kept"} 0
coderhook_mints_total{outcome="injected",reason="key made"} 1
coderhook_mints_total{outcome="injected",reason="old key"} 0
coderhook_mints_total{outcome="pending",reason="no key"} 0
coderhook_mints_total{outcome="refused",reason="Bad Request"} 0
coderhook_mints_total{outcome="refused",reason="Unauthorized"} 1
coderhook_mints_total{outcome="skipped",reason="anonymous user"} 1
coderhook_mints_total{outcome="skipped",reason="assurance level too low"} 0
coderhook_mints_total{outcome="skipped",reason="no e-mail"} 0
coderhook_mints_total{outcome="skipped",reason="other role"} 0
coderhook_mints_total{outcome="skipped",reason="third-party OAuth client"} 0
coderhook_mints_total{outcome="unavailable",reason="no key"} 1
`
	err := testutil.GatherAndCompare(w.Provisioner.Metrics.Registry, strings.NewReader(want), "coderhook_mints_total")
	if err != nil {
		t.Error(err)
	}
}
