package coderclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

var kinds = []error{
	coderclient.ErrNotFound, coderclient.ErrRouteNotFound, coderclient.ErrExists, coderclient.ErrUserDeleted,
	coderclient.ErrUnauthorized, coderclient.ErrInactive, coderclient.ErrForbidden, coderclient.ErrPasswordOff, coderclient.ErrRateLimited,
	coderclient.ErrRefused, coderclient.ErrUnavailable,
}

// onlyIs wants err to be all of want and no other kind.
func onlyIs(t *testing.T, err error, want ...error) {
	t.Helper()
	for _, kind := range kinds {
		if errors.Is(err, kind) != slices.Contains(want, kind) {
			t.Errorf("is %q: %t, in: %v", kind, errors.Is(err, kind), err)
		}
	}
}

func TestErrorKinds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status int
		body   string
		want   error
	}{
		{404, `{"message":"Resource not found or you do not have access to this resource"}`, coderclient.ErrNotFound},
		{400, `{"message":"\"user\" must be an existing uuid or username."}`, coderclient.ErrNotFound},
		{404, `{"message":"Route not found."}`, coderclient.ErrRouteNotFound},
		{405, ``, coderclient.ErrRouteNotFound},
		{404, `{"message":"Organization does not exist with the provided id \"x\"."}`, coderclient.ErrRefused},
		{404, `<html>no such page</html>`, coderclient.ErrUnavailable},
		{409, `{"message":"User already exists."}`, coderclient.ErrExists},
		{500, `{"message":"m","detail":"pq: duplicate key value violates \"idx_users_username\""}`, coderclient.ErrExists},
		{500, `{"message":"m","detail":"pq: duplicate key value violates \"organization_members_pkey\""}`, coderclient.ErrUnavailable},
		{500, `{"message":"m","detail":"insert API key: pq: Cannot create API key for deleted user"}`, coderclient.ErrUserDeleted},
		{500, `{"message":"m","detail":"insert API key: unauthorized: rbac: forbidden"}`, coderclient.ErrForbidden},
		{500, `{"message":"An internal error occurred."}`, coderclient.ErrUnavailable},
		{502, `<html>Bad Gateway</html>`, coderclient.ErrUnavailable},
		{503, ``, coderclient.ErrUnavailable},
		{401, `{"message":"You are signed out or your session has expired."}`, coderclient.ErrUnauthorized},
		{401, `{"message":"User is not active (status = \"suspended\"). Contact an admin."}`, coderclient.ErrInactive},
		{403, `{"message":"Forbidden."}`, coderclient.ErrForbidden},
		{400, `{"message":"Validation failed."}`, coderclient.ErrRefused},
		{417, `{"message":"You cannot delete a user that has workspaces."}`, coderclient.ErrRefused},
		{428, `nonsense`, coderclient.ErrRefused},
		{302, ``, coderclient.ErrUnavailable},
		{307, ``, coderclient.ErrUnavailable},
	} {
		s, _ := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) { answerAs(w, test.status, test.body) })
		_, err := newClient(t, s.URL, nil).User(t.Context(), "alice")
		t.Run(fmt.Sprint(test.status, test.body), func(t *testing.T) { onlyIs(t, err, test.want) })
	}
}

// TestErrorKeepsWhatIsKnown: method, path without query and status, whatever the body.
func TestErrorKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "<html><body>Bad Gateway", "{", `[]`, `"text"`, "\x00\xff", `{"message":"m"`} {
		s, _ := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) { answerAs(w, 502, body) })
		_, err := newClient(t, s.URL, nil).AuthRedirect(t.Context(), "k", appURI)
		e, ok := errors.AsType[*coderclient.Error](err)
		if !ok || e.Method != "GET" || e.Path != "/api/v2/applications/auth-redirect" || e.Status != 502 {
			t.Errorf("%q: %+v", body, err)
		}
		if want := "get app redirect: GET /api/v2/applications/auth-redirect: 502"; err.Error() != want {
			t.Errorf("%q: %s, want %s", body, err, want)
		}
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileV231)
	_, err := clientOf(t, s, nil).CreateUser(t.Context(), coderclient.NewUser{Username: "a--b", Email: "nope"})
	const want = `create user: POST /api/v2/users: 400 Validation failed. ` +
		`email: Validation failed for tag "email" with value: "nope" ` +
		`username: Validation failed for tag "username" with value: "a--b"`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	e, _ := errors.AsType[*coderclient.Error](err)
	if len(e.Validations) != 2 || e.Validations[0].Field != "email" {
		t.Errorf("validations %+v", e.Validations)
	}
}

func TestTwoObjectsInOneBody(t *testing.T) {
	t.Parallel()
	s, _ := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		answerAs(w, 400, "{\"message\":\"Unsupported login type.\"}\n{\"message\":\"Internal error creating user.\"}\n")
	})
	_, err := newClient(t, s.URL, nil).CreateUser(t.Context(), coderclient.NewUser{Username: "alice"})
	e, ok := errors.AsType[*coderclient.Error](err)
	if !ok || e.Message != "Unsupported login type." || !errors.Is(err, coderclient.ErrRefused) {
		t.Errorf("%v", err)
	}
}

// TestAnswersOfOthers: a proxy's 404 says nothing about a user, and its 200 nothing about anything.
func TestAnswersOfOthers(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 302, 400, 401, 403, 404, 409, 500} {
		s := startCoder(t, codertest.ProfileNew)
		s.AddUser("alice", "alice@example.test", "password")
		remove := s.Fail(codertest.Fault{
			Status: status, Proxy: true, Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}},
		})
		_, err := clientOf(t, s, nil).User(t.Context(), "alice")
		remove()
		t.Run(fmt.Sprint(status), func(t *testing.T) { onlyIs(t, err, coderclient.ErrUnavailable) })
		if e, ok := errors.AsType[*coderclient.Error](err); !ok || e.Status != status {
			t.Errorf("%d is lost: %v", status, err)
		}
	}
}

func TestHTMLOnSuccess(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	defer s.Fail(codertest.Fault{
		Status: 200, Body: "<!doctype html>", Header: http.Header{"Content-Type": {"text/html"}},
	})()
	c := clientOf(t, s, func(cfg *coderclient.Config) { cfg.Breaker.Failures = 100 })
	_, err := c.DefaultOrganization(t.Context())
	onlyIs(t, err, coderclient.ErrUnavailable)
	_, err = c.Tokens(t.Context(), someID)
	onlyIs(t, err, coderclient.ErrUnavailable)
	_, err = c.CreateToken(t.Context(), someID, coderclient.NewToken{Name: "t"})
	onlyIs(t, err, coderclient.ErrUnavailable)
	_, err = c.BuildInfo(t.Context())
	onlyIs(t, err, coderclient.ErrUnavailable)
	_, err = c.ApplicationHost(t.Context())
	onlyIs(t, err, coderclient.ErrUnavailable)
	_, err = c.MaxTokenLifetime(t.Context(), someID)
	onlyIs(t, err, coderclient.ErrUnavailable)
}

func TestEmptyObjects(t *testing.T) {
	t.Parallel()
	s, _ := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) { answerAs(w, 200, `{}`) })
	c := newClient(t, s.URL, func(cfg *coderclient.Config) { cfg.Breaker.Failures = 100 })
	_, err := c.ApplicationHost(t.Context())
	onlyIs(t, err, coderclient.ErrUnavailable)
	_, err = c.MaxTokenLifetime(t.Context(), someID)
	onlyIs(t, err, coderclient.ErrUnavailable)
	_, err = c.Key(t.Context(), someID, "AbCdEfGhIj")
	onlyIs(t, err, coderclient.ErrUnavailable)
	_, err = c.Organization(t.Context(), "coder")
	onlyIs(t, err, coderclient.ErrUnavailable)
	_, err = c.BuildInfo(t.Context())
	onlyIs(t, err, coderclient.ErrUnavailable)
}

func TestTooLongAnswer(t *testing.T) {
	t.Parallel()
	s, _ := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		answerAs(w, 200, `[`+strings.Repeat(` `, 16<<20)+`]`)
	})
	_, err := newClient(t, s.URL, nil).Tokens(t.Context(), someID)
	onlyIs(t, err, coderclient.ErrUnavailable)
	if !strings.Contains(err.Error(), "longer than 16 MiB") {
		t.Errorf("%v", err)
	}
}

func TestTransportError(t *testing.T) {
	t.Parallel()
	c, _ := inMemory(t, func(int, *http.Request) (*http.Response, error) { return nil, errNoRoute }, nil)
	err := c.Probe(t.Context())
	onlyIs(t, err, coderclient.ErrUnavailable)
	if want := "probe: GET /api/v2/users/me: dial tcp: no route to host"; err.Error() != want || !errors.Is(err, errNoRoute) {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestNoRedirects(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		s, count := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				t.Error("the redirect was followed")
			}
			w.Header().Set("Location", "/elsewhere")
			answerAs(w, status, "")
		})
		hc := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
		c := newClient(t, s.URL, func(cfg *coderclient.Config) { cfg.HTTPClient = hc })
		if err := c.DeleteUser(t.Context(), someID); !errors.Is(err, coderclient.ErrUnavailable) {
			t.Errorf("%d: want ErrUnavailable: %v", status, err)
		}
		if count.Load() == 0 {
			t.Error("nothing was asked")
		}
	}
}

func TestCancelledCall(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	defer s.Fail(codertest.Fault{Hang: true})()
	c := clientOf(t, s, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(errors.New("the caller's own reason")) })
	_, err := c.User(ctx, "alice")
	onlyIs(t, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("want context.Canceled: %v", err)
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	defer s.Fail(codertest.Fault{Hang: true})()
	c := clientOf(t, s, func(cfg *coderclient.Config) { cfg.CallTimeout = 200 * time.Millisecond })
	_, err := c.User(t.Context(), "alice")
	onlyIs(t, err, coderclient.ErrUnavailable)
	if !errors.Is(err, context.DeadlineExceeded) || len(s.Requests()) != 3 {
		t.Errorf("own timeout: %d requests, %v", len(s.Requests()), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = clientOf(t, s, nil).User(ctx, "alice")
	onlyIs(t, err, coderclient.ErrUnavailable)
	if !errors.Is(err, context.DeadlineExceeded) || len(s.Requests()) != 4 {
		t.Errorf("caller's deadline: %d requests, %v", len(s.Requests()), err)
	}
}
