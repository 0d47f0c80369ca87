package codertest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"coderhook/coderclient/codertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, p codertest.Profile, opts ...codertest.Option) *codertest.Server {
	t.Helper()
	s := codertest.Start(p, opts...)
	t.Cleanup(s.Close)
	return s
}

// ask makes a request as the owner and gives status, header and body.
func ask(ctx context.Context, s *codertest.Server, method, path, body string) (int, http.Header, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.URL+"/api/v2"+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	req.Header.Set("Coder-Session-Token", s.OwnerToken)
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close() // read only
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(raw), err
}

func mustAsk(t *testing.T, s *codertest.Server, method, path, body string) (int, string) {
	t.Helper()
	status, _, answer, err := ask(t.Context(), s, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

const newAlice = `{"email":"alice@example.test","username":"alice","password":"SomeSecurePassword!1"}`

func TestFaultHitsWhatItSays(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault codertest.Fault
		want  string // of GET users/me, GET users/owner, DELETE users/me, GET users/me
	}{
		"all":        {codertest.Fault{}, "[502 502 502 502]"},
		"method":     {codertest.Fault{Method: "DELETE"}, "[200 200 502 200]"},
		"path":       {codertest.Fault{Path: "/users/me"}, "[502 200 502 502]"},
		"pattern":    {codertest.Fault{Path: "/users/*"}, "[502 502 502 502]"},
		"one level":  {codertest.Fault{Path: "/*"}, "[200 200 403 200]"},
		"both":       {codertest.Fault{Method: "GET", Path: "/users/owner"}, "[200 502 403 200]"},
		"second":     {codertest.Fault{Method: "GET", Nth: 2}, "[200 502 403 502]"},
		"once":       {codertest.Fault{Times: 1}, "[502 200 403 200]"},
		"third only": {codertest.Fault{Nth: 3, Times: 1}, "[200 200 502 200]"},
	} {
		s := start(t, codertest.ProfileV231)
		test.fault.Status = 502
		remove := s.Fail(test.fault)
		var got []int
		for _, rq := range []string{"GET /users/me", "GET /users/owner", "DELETE /users/me", "GET /users/me"} {
			method, path, _ := strings.Cut(rq, " ")
			status, _ := mustAsk(t, s, method, path, "")
			got = append(got, status)
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("%s: %v, want %s", name, got, test.want)
		}
		remove()
		if status, _ := mustAsk(t, s, "GET", "/users/me", ""); status != 200 {
			t.Errorf("%s: %d after it was removed", name, status)
		}
	}
}

func TestFaultAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, codertest.ProfileV231)
	remove := s.Fail(codertest.Fault{Status: 503, Body: "<html>", Header: http.Header{"content-type": {"text/html"}}, Proxy: true})
	status, header, body, err := ask(t.Context(), s, "GET", "/users/me", "")
	if err != nil || status != 503 || body != "<html>" || header.Get("Content-Type") != "text/html" {
		t.Errorf("%d %v %s %v", status, header, body, err)
	}
	if header.Get("X-Coder-Build-Version") != "" {
		t.Error("a proxy's answer has Coder's headers")
	}
	remove()
	s.Fail(codertest.Fault{Status: 409, Body: `{"message":"User already exists."}`})
	if _, header, _, _ := ask(t.Context(), s, "GET", "/users/me", ""); header.Get("X-Coder-Build-Version") != "v2.31.3" {
		t.Error("Coder's own refusal lacks its headers")
	}
}

func TestFaultAfterActing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault codertest.Fault
		users int
	}{
		"reset":        {codertest.Fault{Reset: true}, 0},
		"reset after":  {codertest.Fault{Reset: true, AfterActing: true}, 1},
		"status":       {codertest.Fault{Status: 500}, 0},
		"status after": {codertest.Fault{Status: 500, AfterActing: true}, 1},
		"delay":        {codertest.Fault{Delay: 1}, 1},
		"delay after":  {codertest.Fault{Delay: 1, AfterActing: true}, 1},
	} {
		s := start(t, codertest.Profile2023)
		s.Fail(test.fault)
		status, _, _, err := ask(t.Context(), s, "POST", "/users", newAlice)
		if got := len(s.Users()); got != test.users {
			t.Errorf("%s: %d users, want %d", name, got, test.users)
		}
		if test.fault.Reset != errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v", name, err)
		}
		if test.fault.Delay > 0 && status != 201 {
			t.Errorf("%s: status %d", name, status)
		}
	}
}

func TestFaultDelays(t *testing.T) {
	t.Parallel()
	s := start(t, codertest.ProfileNew)
	s.Fail(codertest.Fault{Delay: 30 * time.Millisecond})
	began := time.Now()
	if status, _ := mustAsk(t, s, "GET", "/users/me", ""); status != 200 || time.Since(began) < 30*time.Millisecond {
		t.Errorf("%d after %v", status, time.Since(began))
	}
}

func TestHangEndsWithTheClient(t *testing.T) {
	t.Parallel()
	s := start(t, codertest.ProfileNew)
	s.Fail(codertest.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, _, _, err := ask(ctx, s, "POST", "/users", newAlice); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if got := s.Requests(); len(got) != 1 || got[0].Status != 0 {
		t.Errorf("recorded %+v", got)
	}
}

func TestHangEndsWithTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, codertest.ProfileNew)
	s.Fail(codertest.Fault{Hang: true})
	time.AfterFunc(30*time.Millisecond, s.Close)
	if status, _, _, err := ask(t.Context(), s, "GET", "/users/me", ""); err == nil {
		t.Errorf("answered %d", status)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := start(t, codertest.ProfileV231, codertest.With(func(set *codertest.Settings) { set.RateLimit = 100000 }))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 10 {
				remove := s.Fail(codertest.Fault{Path: "/nowhere", Status: 500})
				s.AddUser(fmt.Sprintf("u%d-%d", i, j), fmt.Sprintf("u%d-%d@example.test", i, j), "none")
				_, _, _, _ = ask(t.Context(), s, "GET", fmt.Sprintf("/users/u%d-%d", i, j), "")
				s.Configure(func(set *codertest.Settings) { set.AppHost = "" })
				s.Requests()
				remove()
			}
		})
	}
	wg.Wait()
	s.Reset()
	if len(s.Users()) != 0 || len(s.Requests()) != 40 {
		t.Errorf("%d users, %d requests", len(s.Users()), len(s.Requests()))
	}
}
