package coderclient_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

const textNoneRefused = `{"message":"Login type 'none' requires a service account."}`

func TestCreateUserOnEveryProfile(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		made := addUser(t, c, "alice")
		u, found := s.User("alice")
		if !found || u.ID != made.ID || u.Email != "alice@example.test" || made.Email != u.Email {
			t.Errorf("made %+v, there is %+v", made, u)
		}
		if len(u.OrganizationIDs) != 1 || u.OrganizationIDs[0] != s.OrganizationID() {
			t.Errorf("belongs to %v", u.OrganizationIDs)
		}
	})
}

func TestLoginTypeIsNegotiated(t *testing.T) {
	t.Parallel()
	want := map[codertest.Profile]string{
		codertest.Profile2023: "none", codertest.ProfileV231: "none", codertest.ProfileNew: "password",
	}
	for p, loginType := range want {
		s := startCoder(t, p)
		c := clientOf(t, s, nil)
		if got := addUser(t, c, "alice").LoginType; got != loginType {
			t.Errorf("%s: login type %s, want %s", p, got, loginType)
		}
	}
	oldest := startCoder(t, codertest.Profile2023, codertest.Oldest())
	if got := addUser(t, clientOf(t, oldest, nil), "alice").LoginType; got != "none" {
		t.Errorf("2.0: login type %s, want none", got)
	}
}

func TestLoginTypeIsRemembered(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	c := clientOf(t, s, nil)
	addUser(t, c, "alice")
	s.ForgetRequests()
	addUser(t, c, "bob")
	if got := creations(s); len(got) != 1 {
		t.Errorf("asked %d times for the second user: %v", len(got), got)
	}
}

func TestUpgradeWhileRunning(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileV231)
	c := clientOf(t, s, nil)
	alice := addUser(t, c, "alice")
	s.SetProfile(codertest.ProfileNew)
	if u, err := c.User(t.Context(), alice.ID.String()); err != nil || u.LoginType != "password" {
		t.Errorf("after the upgrade: %+v, %v", u, err)
	}
	if bob := addUser(t, c, "bob"); bob.LoginType != "password" {
		t.Errorf("new user has login type %s", bob.LoginType)
	}
	s.SetProfile(codertest.ProfileV231)
	if _, err := c.BuildInfo(t.Context()); err != nil {
		t.Fatal(err)
	}
	if carol := addUser(t, c, "carol"); carol.LoginType != "none" {
		t.Errorf("after going back a new user has login type %s", carol.LoginType)
	}
}

func TestNegotiationIsConcurrencySafe(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	c := clientOf(t, s, nil)
	org, err := c.DefaultOrganization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := c.CreateUser(t.Context(), newUser(fmt.Sprint("user", i), org)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(s.Users()) != 8 {
		t.Errorf("%d users", len(s.Users()))
	}
}

// TestOnlyTheKnownTextFallsBack: an account with a password is not made on any other complaint.
func TestOnlyTheKnownTextFallsBack(t *testing.T) {
	t.Parallel()
	for _, answer := range []struct {
		status int
		body   string
	}{
		{400, `{"message":"Login type 'none' is out of fashion."}`},
		{403, textNoneRefused},
		{500, textNoneRefused},
	} {
		s, count := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) { answerAs(w, answer.status, answer.body) })
		_, err := newClient(t, s.URL, nil).CreateUser(t.Context(), coderclient.NewUser{Username: "alice"})
		if err == nil || count.Load() != 1 {
			t.Errorf("%d %s: %d requests, %v", answer.status, answer.body, count.Load(), err)
		}
	}
}

type creation struct {
	LoginType       string   `json:"login_type"`
	DisableLogin    bool     `json:"disable_login"`
	Password        string   `json:"password"`
	OrganizationIDs []string `json:"organization_ids"`
	OrganizationID  *string  `json:"organization_id"`
}

// sentCreations has the bodies that reach a server which refuses none if told so.
func sentCreations(t *testing.T, loginType string, refuseNone bool, users int) []creation {
	t.Helper()
	var sent []creation
	s, _ := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		var body creation
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		sent = append(sent, body)
		if refuseNone && body.LoginType == "none" {
			answerAs(w, 400, textNoneRefused)
			return
		}
		answerAs(w, 201, someUser)
	})
	c := newClient(t, s.URL, func(cfg *coderclient.Config) { cfg.LoginType = loginType })
	for range users {
		_, err := c.CreateUser(t.Context(), coderclient.NewUser{Username: "alice", Organization: someID})
		if (err != nil) != (refuseNone && loginType == "none") {
			t.Errorf("login type %s: %v", loginType, err)
		}
	}
	return sent
}

func TestPasswordsAreRandomAndNotReused(t *testing.T) {
	t.Parallel()
	sent := sentCreations(t, "auto", true, 2)
	if len(sent) != 3 || sent[0].Password != "" {
		t.Fatalf("sent %+v", sent)
	}
	first, second := sent[1].Password, sent[2].Password
	if len(first) != 43 || len(second) != 43 || first == second {
		t.Errorf("want two different passwords of 32 bytes, got %d and %d characters", len(first), len(second))
	}
}

func TestForcedLoginTypes(t *testing.T) {
	t.Parallel()
	for _, loginType := range []string{"none", "password", "oidc", "github"} {
		for _, body := range sentCreations(t, loginType, true, 1) {
			hasPassword, isNone := body.Password != "", loginType == "none"
			if body.LoginType != loginType || body.DisableLogin != isNone || hasPassword != (loginType == "password") {
				t.Errorf("%s: sent %+v", loginType, body)
			}
		}
	}
}

// TestOrganizationFields: the old field beside the new one would be a duplicate to some versions.
func TestOrganizationFields(t *testing.T) {
	t.Parallel()
	body := sentCreations(t, "", false, 1)[0]
	if len(body.OrganizationIDs) != 1 || body.OrganizationIDs[0] != someID.String() || body.OrganizationID != nil {
		t.Errorf("sent %+v", body)
	}
}

func TestCreateUserThatExists(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		addUser(t, c, "alice")
		_, err := c.CreateUser(t.Context(), coderclient.NewUser{
			Username: "ALICE", Email: "other@example.test", Organization: s.OrganizationID(),
		})
		if !errors.Is(err, coderclient.ErrExists) {
			t.Errorf("same name: %v", err)
		}
	})
}

func TestCreateUserLostRace(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		defer s.Fail(codertest.Fault{Method: "POST", Path: "/users", Status: 500, Body: `{
			"message":"Internal error creating user.","detail":"execute transaction: create user: pq: ` +
			`duplicate key value violates unique constraint \"idx_users_email\""}`})()
		_, err := c.CreateUser(t.Context(), coderclient.NewUser{
			Username: "alice", Email: "alice@example.test", Organization: s.OrganizationID(),
		})
		if !errors.Is(err, coderclient.ErrExists) || errors.Is(err, coderclient.ErrUnavailable) {
			t.Errorf("want ErrExists only: %v", err)
		}
	})
}

func TestCreateUserWithoutPasswordAuth(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew, codertest.With(func(set *codertest.Settings) {
		set.DisablePasswordAuth = true
	}))
	_, err := clientOf(t, s, nil).CreateUser(t.Context(), coderclient.NewUser{
		Username: "alice", Email: "alice@example.test", Organization: s.OrganizationID(),
	})
	if !errors.Is(err, coderclient.ErrPasswordOff) || errors.Is(err, coderclient.ErrUnavailable) {
		t.Errorf("want ErrPasswordOff: %v", err)
	}
}

func creations(s *codertest.Server) []codertest.Request {
	var list []codertest.Request
	for _, r := range s.Requests() {
		if r.Method == "POST" && r.Path == "/api/v2/users" {
			list = append(list, r)
		}
	}
	return list
}
