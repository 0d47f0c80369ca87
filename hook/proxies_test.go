package hook

import (
	"strings"
	"testing"

	"coderhook/coderclient/codertest"
	"coderhook/hook/frontend"
)

// withProxies is a Coder with two workspace proxies and one that has never run.
func withProxies(f *front) {
	f.coder.Configure(func(set *codertest.Settings) {
		set.AppHost = "*.apps.localhost"
		set.Proxies = []codertest.Proxy{
			{Name: "us", URL: "https://us.example.com", Wildcard: "*.us.example.com"},
			{Name: "au", URL: "https://au.example.com:8443/coder", Wildcard: "*--apps.au.example.com"},
			{Name: "new"},
		}
	})
}

func TestAuthRedirectToWorkspaceProxies(t *testing.T) {
	t.Parallel()
	eachProfile(t, func(t *testing.T, s settings) {
		f := newFront(t, s)
		withProxies(f)
		user, key := f.withKey(t)
		token := f.token(t, user, key)
		for _, uri := range []string{
			appURI,
			"https://code--main--ws--ada.us.example.com/p?x=1",
			"https://code--main--ws--ada--apps.au.example.com/",
			"https://us.example.com/@ada/ws/apps/code/",
			"https://au.example.com:8443/coder/@ada/ws/apps/code/",
		} {
			got := f.enter(t, token, uri)
			_, want, _ := strings.Cut(strings.Split(uri, "?")[0], "://")
			if got.status != 303 || !strings.Contains(got.header.Get("Location"), "://"+want+"?") || !strings.Contains(got.header.Get("Location"), appParam) {
				t.Errorf("%s: %d %s", uri, got.status, got.body)
			}
		}
		if n := f.asked("/regions"); n != 1 {
			t.Errorf("regions were asked for %d times", n)
		}
	})
}

// What looks like a proxy's address goes nowhere near Coder, also where Coder itself is laxer.
func TestAuthRedirectRefusesWhatLooksLikeAProxy(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	withProxies(f)
	user, key := f.withKey(t)
	token := f.token(t, user, key)
	for _, uri := range []string{
		"https://us.example.com.evil.com/", "https://evilus.example.com/", "https://us.example.com./", "https://us.example.com:8443/",
		"https://u@us.example.com/", "https://us.example.com@evil.com/", `https://evil.com\.us.example.com/`, "https://evil.com#.us.example.com",
		"https://evil.com?.us.example.com", "https://evil.com/.us.example.com", "https://.us.example.com/", "https://a.b.us.example.com/",
		"https://a.us.example.com:8443/", "https://a%2eus.example.com/", "https://*.us.example.com/", "https://a_b.us.example.com/",
		"https://au.example.com/", "https://x.au.example.com/", "https://x--apps.au.example.com:8443/", "https://--apps.au.example.com/", "https://a.x--apps.au.example.com/",
		"javascript://us.example.com/%0aalert(1)", "ftp://us.example.com/", "https:///us.example.com", "https://new/", "https://primary/", f.coder.URL,
	} {
		f.FrontEnd.Limits = frontend.UserLimits{}
		if got := f.enter(t, token, uri); got.status != 400 {
			t.Errorf("%s: %d %s %s", uri, got.status, got.body, got.header.Get("Location"))
		}
	}
	if calls := f.asked("/applications/auth-redirect"); calls > 0 {
		t.Errorf("%d of them got to Coder", calls)
	}
}

// An older Coder knows no regions, and one that can't tell them still has its own host.
func TestAuthRedirectWithoutRegions(t *testing.T) {
	t.Parallel()
	const proxys = "https://code--main--ws--ada.us.example.com/"
	for name, test := range map[string]struct {
		fault  codertest.Fault
		status int
		want   string
	}{
		"older":  {codertest.Fault{Path: "/regions", Status: 404, Body: `{"message":"Route not found."}`}, 400, "not the address of a workspace app"},
		"broken": {codertest.Fault{Path: "/regions", Status: 500}, 503, "can't be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, patient())
			withProxies(f)
			user, key := f.withKey(t)
			token := f.token(t, user, key)
			f.coder.Fail(test.fault)
			if got := f.enter(t, token, appURI); got.status != 303 {
				t.Errorf("Coder's own: %d %s", got.status, got.body)
			}
			f.enter(t, token, proxys).wantRefusal(t, "a proxy's", test.status, test.want)
		})
	}
}

// With a host of its own Coder needs none of the proxies', and the reverse.
func TestAuthRedirectWhereOnlyProxiesHaveAHost(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	f.coder.Configure(func(set *codertest.Settings) {
		set.AppHost, set.Proxies = "", []codertest.Proxy{{Name: "us", URL: "https://us.example.com", Wildcard: "*.us.example.com"}}
	})
	user, key := f.withKey(t)
	if got := f.enter(t, f.token(t, user, key), "https://code--main--ws--ada.us.example.com/"); got.status != 303 {
		t.Errorf("%d %s", got.status, got.body)
	}
	f.enter(t, f.token(t, user, key), appURI).wantRefusal(t, "no host", 400, "not the address of a workspace app")
}
