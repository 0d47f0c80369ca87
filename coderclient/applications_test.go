package coderclient_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

const appURI = "https://code--main--ws--alice.apps.localhost:7990/p?x=1"

func TestApplicationHost(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		for _, want := range []string{"*.apps.example.com:8443", ""} {
			s.Configure(func(set *codertest.Settings) { set.AppHost = want })
			if host, err := c.ApplicationHost(t.Context()); err != nil || host != want {
				t.Errorf("host %q, %v", host, err)
			}
		}
	})
}

func TestAuthRedirect(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, _ *codertest.Server, c *coderclient.Client) {
		key := addToken(t, c, addUser(t, c, "alice"), "t")
		if _, err := c.Me(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		location, err := c.AuthRedirect(t.Context(), key, appURI)
		if err != nil {
			t.Fatal(err)
		}
		to, err := url.Parse(location)
		if err != nil || to.Host != "code--main--ws--alice.apps.localhost:7990" || to.Path != "/p" {
			t.Errorf("leads to %s, %v", location, err)
		}
		if to.Query().Get("x") != "1" || to.Query().Get("coder_application_connect_api_key_35e783") == "" {
			t.Errorf("lacks its parameters: %s", location)
		}
	})
}

func TestAuthRedirectRefusals(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		key := addToken(t, c, addUser(t, c, "alice"), "t")
		if _, err := c.Me(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		for _, uri := range []string{"", "http://evil.example/", "://", s.URL} {
			if _, err := c.AuthRedirect(t.Context(), key, uri); !errors.Is(err, coderclient.ErrRefused) {
				t.Errorf("%q: want ErrRefused: %v", uri, err)
			}
		}
		if _, err := c.AuthRedirect(t.Context(), "garbage", appURI); !errors.Is(err, coderclient.ErrUnauthorized) {
			t.Errorf("bad key: want ErrUnauthorized: %v", err)
		}
		s.SuspendUser("alice")
		if _, err := c.AuthRedirect(t.Context(), key, appURI); !errors.Is(err, coderclient.ErrInactive) {
			t.Errorf("suspended: want ErrInactive: %v", err)
		}
	})
}

// TestAuthRedirectOfADormantUser: the old versions wake the user, the new ones send to the login page.
func TestAuthRedirectOfADormantUser(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, _ *codertest.Server, c *coderclient.Client) {
		key := addToken(t, c, addUser(t, c, "alice"), "t")
		_, err := c.AuthRedirect(t.Context(), key, appURI)
		if err != nil && !errors.Is(err, coderclient.ErrInactive) {
			t.Errorf("want ErrInactive or nothing: %v", err)
		}
		if _, err := c.Me(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if _, err := c.AuthRedirect(t.Context(), key, appURI); err != nil {
			t.Errorf("after an ordinary call: %v", err)
		}
	})
}

// TestAuthRedirectToElsewhere: a success is recognised by its target, not by its status.
func TestAuthRedirectToElsewhere(t *testing.T) {
	t.Parallel()
	const app, param = "http://code--main--ws--alice.apps.localhost:7990/p", "?coder_application_connect_api_key_35e783="
	for location, status := range map[string]int{
		app + "?x=1":                          303,
		app + param:                           303,
		"http://evil.example/p" + param + "x": 303,
		"javascript://code--main--ws--alice.apps.localhost:7990/p" + param + "x": 303,
		"/p" + param + "x": 303,
		"":                 303,
		"http://evil.example/login" + param + "x": 303,
		"http://%zz" + param + "x":                303,
		app + param + "y":                         301,
		app + param + "z":                         200,
	} {
		s, count := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			answerAs(w, status, "")
		})
		got, err := newClient(t, s.URL, nil).AuthRedirect(t.Context(), "k", appURI)
		if !errors.Is(err, coderclient.ErrUnavailable) || got != "" || count.Load() != 1 {
			t.Errorf("%d %s: got %q after %d requests, want ErrUnavailable: %v", status, location, got, count.Load(), err)
		}
		if strings.Contains(err.Error(), param) {
			t.Errorf("the error tells the target: %v", err)
		}
	}
	s, _ := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", app+param+"z")
		answerAs(w, 307, "")
	})
	if _, err := newClient(t, s.URL, nil).AuthRedirect(t.Context(), "k", appURI); err != nil {
		t.Errorf("307 is what 2022 answered: %v", err)
	}
}

func TestBuildInfo(t *testing.T) {
	t.Parallel()
	for p, version := range map[codertest.Profile]string{
		codertest.Profile2023: "v2.13.5", codertest.ProfileV231: "v2.31.3", codertest.ProfileNew: "v2.36.0",
	} {
		s := startCoder(t, p)
		c := clientOf(t, s, func(cfg *coderclient.Config) { cfg.Token = func() string { return "garbage" } })
		info, err := c.BuildInfo(t.Context())
		if err != nil || info.Version != version || info.DashboardURL != s.URL || info.WorkspaceProxy {
			t.Errorf("%s: %+v, %v", p, info, err)
		}
	}
}
