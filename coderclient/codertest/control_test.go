package codertest_test

import (
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
)

// TestImports: the fake must not share the client's mistakes, and a program can link it.
func TestImports(t *testing.T) {
	t.Parallel()
	raw, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, banned := range []string{"testing", "net/http/httptest", "coderhook/coderclient"} {
		if slices.Contains(strings.Fields(string(raw)), banned) {
			t.Errorf("imports %s", banned)
		}
	}
}

func TestRequestsAreRecorded(t *testing.T) {
	t.Parallel()
	s := start(t, codertest.ProfileNew)
	mustAsk(t, s, "GET", "/users/me?x=1", "")
	mustAsk(t, s, "POST", "/users", `{"username":"a","password" : "with \" quote","x":1}`)
	mustAsk(t, s, "GET", "/buildinfo", "")
	mustAsk(t, s, "GET", "/teapots", "")
	mustAsk(t, s, "PATCH", "/users", "")
	resp, err := http.Get(s.URL + "/prefix/api/v2/users/me")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close() // read only
	http.DefaultClient.CloseIdleConnections()
	type row struct {
		method, path, as, body string
		status                 int
		unexpected             bool
	}
	want := []row{
		{"GET", "/api/v2/users/me", "owner", "", 200, false},
		{"POST", "/api/v2/users", "owner", `{"username":"a","password" : "***","x":1}`, 400, false},
		{"GET", "/api/v2/buildinfo", "", "", 200, false},
		{"GET", "/api/v2/teapots", "", "", 404, true},
		{"PATCH", "/api/v2/users", "owner", "", 405, true},
		{"GET", "/prefix/api/v2/users/me", "", "", 200, true},
	}
	for i, r := range s.Requests() {
		if got := (row{r.Method, r.Path, r.As, r.Body, r.Status, r.Unexpected}); got != want[i] {
			t.Errorf("recorded %+v, want %+v", got, want[i])
		}
		if r.Time.IsZero() {
			t.Error("no time")
		}
	}
	if got := s.Unexpected(); len(got) != 3 || got[0].Path != "/api/v2/teapots" {
		t.Errorf("unexpected: %+v", got)
	}
	s.ForgetRequests()
	if len(s.Requests()) != 0 {
		t.Error("not forgotten")
	}
}

func TestUserControl(t *testing.T) {
	t.Parallel()
	s := start(t, codertest.ProfileV231)
	alice := s.AddUser("alice", "alice@example.test", "none")
	key := s.AddToken("alice", "t", time.Hour)
	s.SuspendUser("alice")
	s.RenameUser("alice", "alicia")
	if _, found := s.User("alice"); found {
		t.Error("found by the old name")
	}
	u, found := s.User("ALICIA")
	if !found || u.ID != alice.ID || u.Status != "suspended" || len(s.Users()) != 1 {
		t.Errorf("%+v", u)
	}
	s.ActivateUser("alicia")
	if tokens := s.TokensOf("alicia"); len(tokens) != 1 || tokens[0].Whole != key.Whole || tokens[0].TokenName != "t" {
		t.Errorf("tokens %+v", tokens)
	}
	s.AgeKey(key.ID, 2*time.Hour)
	if k := s.TokensOf("alicia")[0]; !k.ExpiresAt.Equal(key.ExpiresAt.Add(-2 * time.Hour)) {
		t.Errorf("expires at %v", k.ExpiresAt)
	}
	s.DeleteKey(key.ID)
	if len(s.TokensOf("alicia")) != 0 {
		t.Error("the key is still there")
	}
	s.DeleteUser("alicia")
	if len(s.Users()) != 0 {
		t.Error("the user is still there")
	}
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := start(t, codertest.ProfileV231)
	s.AddUser("alice", "alice@example.test", "none")
	key := s.AddToken("alice", "t", 30*24*time.Hour)
	s.SetProfile(codertest.ProfileNew)
	u, _ := s.User("alice")
	if u.LoginType != "password" || s.TokensOf("alice")[0].ExpiresAt != key.ExpiresAt {
		t.Errorf("%+v", u)
	}
	if _, body := mustAsk(t, s, "GET", "/buildinfo", ""); !strings.Contains(body, "v2.36.0") {
		t.Errorf("still %s", body)
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	s := start(t, codertest.ProfileNew)
	s.AddUser("alice", "alice@example.test", "none")
	before := s.OrganizationID()
	s.Reset()
	if len(s.Users()) != 0 || s.OrganizationID() == before {
		t.Error("not a new server")
	}
	if status, _ := mustAsk(t, s, "GET", "/users/me", ""); status != 200 {
		t.Errorf("the owner's token: %d", status)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	now := make(chan time.Time, 1)
	now <- time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	read := func() time.Time { at := <-now; now <- at; return at }
	s := start(t, codertest.ProfileNew, codertest.Clock(read))
	<-now
	now <- time.Date(2026, 1, 8, 0, 0, 1, 0, time.UTC)
	if status, body := mustAsk(t, s, "GET", "/users/me", ""); status != 401 || !strings.Contains(body, "API key expired at") {
		t.Errorf("after a week and a second: %d %s", status, body)
	}
}

// TestRateLimitSlides: when the minute is over, what was asked in it still counts in part.
func TestRateLimitSlides(t *testing.T) {
	t.Parallel()
	now := make(chan time.Time, 1)
	set := func(at time.Time) {
		select {
		case <-now:
		default:
		}
		now <- at
	}
	minute := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	set(minute)
	s := start(t, codertest.ProfileNew, codertest.Clock(func() time.Time { at := <-now; now <- at; return at }),
		codertest.With(func(set *codertest.Settings) { set.RateLimit = 10 }))
	passed := func() (n int) {
		for range 20 {
			if status, _ := mustAsk(t, s, "GET", "/users/me", ""); status == 200 {
				n++
			}
		}
		return n
	}
	first := passed()
	set(minute.Add(90 * time.Second))
	if second := passed(); first != 10 || second != 5 {
		t.Errorf("passed %d, then %d half a minute into the next", first, second)
	}
}

func TestCSRF(t *testing.T) {
	t.Parallel()
	s := start(t, codertest.ProfileNew)
	for method, want := range map[string]int{"GET": 200, "DELETE": 400} {
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/api/v2/users/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.AddCookie(&http.Cookie{Name: "coder_session_token", Value: s.OwnerToken})
		req.Close = true
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close() // read only
		if resp.StatusCode != want {
			t.Errorf("%s with a cookie alone: %d", method, resp.StatusCode)
		}
	}
}
