package coderclient_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var profiles = []codertest.Profile{codertest.Profile2023, codertest.ProfileV231, codertest.ProfileNew}

// onEachProfile runs test against a fresh fake of every generation.
func onEachProfile(t *testing.T, test func(*testing.T, *codertest.Server, *coderclient.Client)) {
	t.Helper()
	for _, p := range profiles {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			s := startCoder(t, p)
			test(t, s, clientOf(t, s, nil))
		})
	}
}

func startCoder(t *testing.T, p codertest.Profile, opts ...codertest.Option) *codertest.Server {
	t.Helper()
	s := codertest.Start(p, opts...)
	t.Cleanup(s.Close)
	t.Cleanup(func() {
		for _, r := range s.Unexpected() {
			t.Errorf("the client asked for %s %s, which the fake does not know", r.Method, r.Path)
		}
	})
	return s
}

// clientOf makes a client that repeats without waiting.
func clientOf(t *testing.T, s *codertest.Server, change func(*coderclient.Config)) *coderclient.Client {
	t.Helper()
	return newClient(t, s.URL, func(cfg *coderclient.Config) {
		cfg.Token = func() string { return s.OwnerToken }
		if change != nil {
			change(cfg)
		}
	})
}

func newClient(t *testing.T, url string, change func(*coderclient.Config)) *coderclient.Client {
	t.Helper()
	cfg := coderclient.Config{
		URL: url, Token: func() string { return ownerToken },
		RetryDelay: func(int) time.Duration { return 0 },
	}
	if change != nil {
		change(&cfg)
	}
	c, err := coderclient.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const ownerToken = "OwnerOwner-0wnerSecret0wnerSecret"

// scripted is a server that answers as handle does; it counts the requests, from 1.
func scripted(t *testing.T, handle func(n int, w http.ResponseWriter, r *http.Request)) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var count atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handle(int(count.Add(1)), w, r)
	}))
	t.Cleanup(s.Close)
	return s, &count
}

// answerAs writes what a Coder of some version would.
func answerAs(w http.ResponseWriter, status int, body string) {
	w.Header().Set("X-Coder-Build-Version", "v2.31.3")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprint(w, body)
}

var someID = uuid.MustParse("6d6c1087-3b58-43d5-a98a-9560291b94e7")

const someUser = `{"id":"6d6c1087-3b58-43d5-a98a-9560291b94e7","username":"alice","status":"active"}`

func TestNewNamesAllFaults(t *testing.T) {
	t.Parallel()
	_, err := coderclient.New(coderclient.Config{URL: "ftp://coder.example", LoginType: "magic", CallTimeout: -1})
	for _, want := range []string{"coder URL", "coder token", "coder login type", "coder call timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name the %s: %v", want, err)
		}
	}
}

func TestNewChecksURL(t *testing.T) {
	t.Parallel()
	for url, good := range map[string]bool{
		"http://coder.example":            true,
		"https://coder.example/":          true,
		"https://coder.example/a/b///":    true,
		"https://[::1]:8443":              true,
		"":                                false,
		"coder.example":                   false,
		"//coder.example":                 false,
		"https://":                        false,
		"https://coder.example?x=1":       false,
		"https://coder.example/#x":        false,
		"https://me:secret@coder.example": false,
		"https://coder.example/%zz":       false,
	} {
		_, err := coderclient.New(coderclient.Config{URL: url, Token: func() string { return "" }})
		if (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error tells the password: %v", url, err)
		}
	}
}

func TestPathPrefixIsKept(t *testing.T) {
	t.Parallel()
	var path string
	s, _ := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		path = r.URL.EscapedPath()
		answerAs(w, 200, someUser)
	})
	c := newClient(t, s.URL+"/behind/proxy/", nil)
	if _, err := c.User(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if path != "/behind/proxy/api/v2/users/alice" {
		t.Errorf("asked for %s", path)
	}
}

func TestSegmentsAreEscaped(t *testing.T) {
	t.Parallel()
	const name = "a b%2Fc?d=e#f"
	s, _ := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v2/users/"+name || r.URL.RawQuery != "" {
			t.Errorf("asked for %s", r.URL)
		}
		answerAs(w, 404, `{"message":"Resource not found or you do not have access to this resource"}`)
	})
	if _, err := newClient(t, s.URL, nil).User(t.Context(), name); !errors.Is(err, coderclient.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestTokenIsAskedAtEveryAttempt(t *testing.T) {
	t.Parallel()
	var seen []string
	s, _ := scripted(t, func(n int, w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Coder-Session-Token"))
		if n == 1 {
			answerAs(w, 500, `{}`)
			return
		}
		answerAs(w, 200, someUser)
	})
	var asked int
	c := newClient(t, s.URL, func(cfg *coderclient.Config) {
		cfg.Token = func() string { asked++; return fmt.Sprint("token", asked) }
	})
	if _, err := c.User(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(seen) != "[token1 token2]" {
		t.Errorf("sent %v", seen)
	}
}

func TestNoCookies(t *testing.T) {
	t.Parallel()
	s, count := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if len(r.Cookies()) > 0 {
			t.Errorf("cookies came back: %v", r.Cookies())
		}
		w.Header().Set("Set-Cookie", "coder_session_token=garbage; Path=/")
		answerAs(w, 200, someUser)
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	hc := &http.Client{Jar: jar}
	c := newClient(t, s.URL, func(cfg *coderclient.Config) { cfg.HTTPClient = hc })
	for range 2 {
		if _, err := c.User(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
	}
	if count.Load() != 2 || hc.Jar == nil {
		t.Error("want two requests and the caller's own client untouched")
	}
}

func TestObserveNamesEndpoints(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	var seen []string
	c := clientOf(t, s, func(cfg *coderclient.Config) {
		cfg.Observe = func(endpoint string, status int, _ time.Duration) {
			seen = append(seen, fmt.Sprintf("%s %d", endpoint, status))
		}
	})
	defer s.Fail(codertest.Fault{Method: "GET", Times: 1, Reset: true})()
	org, err := c.DefaultOrganization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateUser(t.Context(), newUser("alice", org)); err != nil {
		t.Fatal(err)
	}
	want := "[list_organizations 0 list_organizations 200 create_user 400 create_user 201]"
	if fmt.Sprint(seen) != want {
		t.Errorf("observed %v, want %v", seen, want)
	}
}

func newUser(name string, org coderclient.Organization) coderclient.NewUser {
	return coderclient.NewUser{Username: name, Email: name + "@example.test", Organization: org.ID}
}

// addUser makes a user as a caller would.
func addUser(t *testing.T, c *coderclient.Client, name string) coderclient.User {
	t.Helper()
	org, err := c.DefaultOrganization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u, err := c.CreateUser(t.Context(), newUser(name, org))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func addToken(t *testing.T, c *coderclient.Client, u coderclient.User, name string) string {
	t.Helper()
	key, err := c.CreateToken(t.Context(), u.ID, coderclient.NewToken{Name: name, Lifetime: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return key
}
