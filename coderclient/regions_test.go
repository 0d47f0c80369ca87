package coderclient_test

import (
	"errors"
	"slices"
	"testing"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

func TestRegions(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		s.Configure(func(set *codertest.Settings) {
			set.AppHost = "*.apps.example.com"
			set.Proxies = []codertest.Proxy{{Name: "us", URL: "https://us.example.com", Wildcard: "*.us.example.com"}, {Name: "new"}}
		})
		want := []coderclient.Region{
			{Name: "primary", PathAppURL: s.URL, WildcardHostname: "*.apps.example.com"},
			{Name: "us", PathAppURL: "https://us.example.com", WildcardHostname: "*.us.example.com"},
			{Name: "new"},
		}
		got, err := c.Regions(t.Context())
		if err != nil || !slices.Equal(got, want) || got[0].IsProxy() || !got[1].IsProxy() {
			t.Errorf("%+v, %v", got, err)
		}
		s.Fail(codertest.Fault{Path: "/regions", Times: 1, Status: 404, Body: `{"message":"Route not found."}`})
		if _, err := c.Regions(t.Context()); !errors.Is(err, coderclient.ErrRouteNotFound) {
			t.Errorf("an older Coder: %v", err)
		}
		s.Fail(codertest.Fault{Path: "/regions", Status: 200, Body: `{"message":"hello"}`})
		if _, err := c.Regions(t.Context()); err == nil {
			t.Error("no list is no error")
		}
	})
}

// A proxy's hosts are as good as Coder's own, and the scheme becomes the proxy's.
func TestAuthRedirectToAProxy(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		s.Configure(func(set *codertest.Settings) {
			set.Proxies = []codertest.Proxy{{Name: "us", URL: "https://us.example.com:8443", Wildcard: "*.us.example.com"}}
		})
		key := addToken(t, c, addUser(t, c, "alice"), "t")
		if _, err := c.Me(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		for _, uri := range []string{"https://code--main--ws--alice.us.example.com/", "https://us.example.com:8443/@alice/ws/apps/code"} {
			if location, err := c.AuthRedirect(t.Context(), key, uri); err != nil || len(location) < len(uri) || location[:len(uri)] != uri {
				t.Errorf("%s: %s, %v", uri, location, err)
			}
		}
	})
}
