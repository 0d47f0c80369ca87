package hook

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/cached"
	"coderhook/hook/frontend"

	"github.com/google/uuid"
)

const appParam = "coder_application_connect_api_key_35e783"

// wantApp checks that an address leads into the app.
func wantApp(t testing.TB, location string) {
	t.Helper()
	to, err := url.Parse(location)
	if err != nil || to.Host != "code--main--ws--ada.apps.localhost" || to.Path != "/p" ||
		to.Query().Get("x") != "1" || to.Query().Get(appParam) == "" {
		t.Errorf("leads to %q, %v", location, err)
	}
}

// withKey makes the user's account and gives the key.
func (f *front) withKey(t testing.TB) (uuid.UUID, string) {
	t.Helper()
	user := f.db.AddUser(t, "ada@example.com")
	key := f.mint(t, user, "ada@example.com").key(t)
	eventually(t, "stored", func() bool { return f.stored(t, user) == key && !f.leased(t, user) })
	f.coder.ForgetRequests()
	return user, key
}

// asked counts the requests for a path that Coder got.
func (f *front) asked(path string) (n int) {
	for _, request := range f.coder.Requests() {
		if strings.HasSuffix(request.Path, path) {
			n++
		}
	}
	return n
}

// A new user is dormant, and the newer versions let no dormant user into an app.
func TestAuthRedirect(t *testing.T) {
	t.Parallel()
	eachProfile(t, func(t *testing.T, s settings) {
		f := newFront(t, s)
		user, key := f.withKey(t)

		got := f.enter(t, f.token(t, user, key), appURI)
		if got.status != 303 || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Referrer-Policy") != "no-referrer" || !varies(got.header, "Accept") {
			t.Errorf("%d %v", got.status, got.header)
		}
		wantApp(t, got.header.Get("Location"))
		if f.asked("/users/me") != 1 || f.asked("/applications/auth-redirect") != 1 || f.asked("/applications/host") != 1 {
			t.Errorf("calls: %v", f.coder.Requests())
		}

		got = f.enter(t, f.token(t, user, key), appURI, "application/json, text/plain, */*")
		var answer struct {
			Location string `json:"location"`
		}
		if err := json.Unmarshal(got.body, &answer); err != nil || got.status != 200 || got.header.Get("Location") != "" {
			t.Errorf("%d %s: %v", got.status, got.body, err)
		}
		wantApp(t, answer.Location)
		if f.asked("/applications/host") != 1 {
			t.Error("the host is not kept")
		}
	})
}

func TestAuthRedirectTakesTheProfilesKey(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user, _ := f.withKey(t)
	if got := f.enter(t, f.token(t, user, ""), appURI); got.status != 303 {
		t.Errorf("%d %s", got.status, got.body)
	}
	// The token's own comes first, even where it is worse.
	f.enter(t, f.token(t, user, "AbCdEfGhIj-0123456789012345678901"), appURI).wantRefusal(t, "bad key", 401, "refresh the session")

	f.enter(t, f.token(t, f.db.AddUser(t, "eve@example.com"), ""), appURI).
		wantRefusal(t, "no key at all", 409, "there is no Coder key for this user yet: call POST /create-coder-user first")
}

// Nothing of this gets as far as Coder.
func TestAuthRedirectRefusesAddresses(t *testing.T) {
	t.Parallel()
	s := patient()
	f := newFront(t, s)
	f.coder.Configure(func(set *codertest.Settings) { set.AppHost = "*.apps.example.com:8443" })
	user, key := f.withKey(t)
	token := f.token(t, user, key)
	f.FrontEnd.Limits = frontend.UserLimits{}
	for _, test := range []struct{ uri, want string }{
		{"", "redirect_uri is missing"},
		{"/p", "not an absolute http or https URL"},
		{"//x.apps.example.com:8443/", "not an absolute http or https URL"},
		{"x.apps.example.com", "not an absolute http or https URL"},
		{"javascript:alert(1)", "not an absolute http or https URL"},
		{"javascript://x.apps.example.com:8443/%0aalert(1)", "not an absolute http or https URL"},
		{"ftp://x.apps.example.com:8443/", "not an absolute http or https URL"},
		{"https:x.apps.example.com:8443", "not an absolute http or https URL"},
		{"https://", "not an absolute http or https URL"},
		{"https://:8443/", "not an absolute http or https URL"},
		{"https://u@x.apps.example.com:8443/", "user name or password"},
		{"https://u:p@x.apps.example.com:8443/", "user name or password"},
		{"https://@x.apps.example.com:8443/", "user name or password"},
		{"https://evil.com@x.apps.example.com:8443/", "user name or password"},
		{`https://evil.com\@x.apps.example.com:8443/`, "backslashes"},
		{`https:\\x.apps.example.com:8443`, "backslashes"},
		{"https://x.apps.example.com:8443/\x00", "control characters"},
		{"https://x.apps.example.com:8443/\r\nSet-Cookie: x", "control characters"},
		{"https://x.apps.example.com:8443/\t", "control characters"},
		{"https://x.apps.example.com:8443/\x7f", "control characters"},
		{" https://x.apps.example.com:8443/", "blanks"},
		{"https://x。apps.example.com:8443/", "percent-encoded"},
		{"https://x.apps.example.com:8443/%zz", "not a URL"},
		{"https://[::1", "not a URL"},
		{"https://evil.com/", "not the address of a workspace app"},
		{"https://evil.com/x.apps.example.com:8443", "not the address of a workspace app"},
		{"https://xapps.example.com:8443/", "not the address of a workspace app"},
		{"https://x.apps.example.com.evil.com:8443/", "not the address of a workspace app"},
		{"https://apps.example.com:8443/", "not the address of a workspace app"},
		{"https://.apps.example.com:8443/", "not the address of a workspace app"},
		{"https://a.b.apps.example.com:8443/", "not the address of a workspace app"},
		{"https://x.apps.example.com.:8443/", "not the address of a workspace app"},
		{"https://x_y.apps.example.com:8443/", "not the address of a workspace app"},
		{"https://x.apps.example.com/", "not the address of a workspace app"},
		{"https://x.apps.example.com:8444/", "not the address of a workspace app"},
		{f.coder.URL, "not the address of a workspace app"},
	} {
		f.FrontEnd.Limits = frontend.UserLimits{} // this test makes more calls than a user may
		f.enter(t, token, test.uri).wantRefusal(t, test.uri, 400, test.want)
	}
	if calls := f.asked("/applications/auth-redirect"); calls > 0 {
		t.Errorf("%d of them got to Coder", calls)
	}
	if got := f.enter(t, token, "http://X.Apps.example.com:8443/"); got.status != 303 || !strings.HasPrefix(got.header.Get("Location"), "http://x.apps.example.com:8443/?") {
		t.Errorf("a host is the same in capitals: %d %s", got.status, got.body)
	}
}

// A host that the operator changed is known before somebody is refused for it, but not asked for all the time.
func TestAuthRedirectLearnsANewHost(t *testing.T) {
	t.Parallel()
	at := authtest.NewClock()
	s := patient()
	s.server = func(server *Server) { server.Now = at.Now }
	f := newFront(t, s)
	user, key := f.withKey(t)
	token := f.token(t, user, key)
	f.coder.Configure(func(set *codertest.Settings) { set.AppHost = "" })
	f.enter(t, token, appURI).wantRefusal(t, "no host", 501, "CODER_WILDCARD_ACCESS_URL")
	f.coder.Configure(func(set *codertest.Settings) { set.AppHost = "*.apps.localhost" })
	at.Advance(cached.Pause)
	if got := f.enter(t, token, appURI); got.status != 303 {
		t.Errorf("new host: %d %s", got.status, got.body)
	}
	for range 5 {
		f.enter(t, token, "https://evil.com/")
	}
	if n := f.asked("/applications/host"); n != 2 {
		t.Errorf("asked for %d times", n)
	}
}

// Coder answers failure with a redirect, too: to its own login page.
func TestAuthRedirectNeverLeadsToTheLoginPage(t *testing.T) {
	t.Parallel()
	eachProfile(t, func(t *testing.T, s settings) {
		f := newFront(t, s)
		user, key := f.withKey(t)
		token := f.token(t, user, key)
		refused := func(what string, status int, want string) {
			got := f.enter(t, token, appURI)
			got.wantRefusal(t, what, status, want)
			if got.header.Get("Location") != "" || strings.HasPrefix(got.header.Get("WWW-Authenticate"), `Bearer error="invalid_token"`) != (status == 401) {
				t.Errorf("%s: %v", what, got.header)
			}
		}
		name := strings.Split(user.String(), "-")[0]
		f.coder.SuspendUser(name)
		refused("suspended", 409, "Your Coder account is suspended")
		f.coder.ActivateUser(name)
		login := http.Header{"Location": {"/login?message=You+are+signed+out+or+your+session+has+expired."}}
		always := f.coder.Fail(codertest.Fault{Path: "/applications/auth-redirect", Status: 303, Header: login})
		refused("refused only there", 401, "Coder does not accept the key")
		always()
		f.coder.DeleteKey(key[:10])
		refused("dead key", 401, "Coder does not accept the key: refresh the session")
	})
}

func TestAuthRedirectWhileCoderIsDownOrRefuses(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user, key := f.withKey(t)
	token := f.token(t, user, key)
	for _, test := range []struct {
		fault      codertest.Fault
		status     int
		want       string
		retryAfter string
	}{
		{codertest.Fault{Path: "/applications/host", Status: 500}, 503, "can't be reached", "5"},
		{codertest.Fault{Path: "/applications/auth-redirect", Status: 429, Header: http.Header{"Retry-After": {"17"}}}, 503, "can't be reached", "17"},
		{codertest.Fault{Path: "/applications/auth-redirect", Status: 400, Body: `{"message":"Invalid redirect_uri."}`}, 400, "not the address of a workspace app", ""},
		{codertest.Fault{Path: "/applications/auth-redirect", Status: 404, Body: `{"message":"Resource not found or you do not have access to this resource"}`}, 403, "the key's scope", ""},
		{codertest.Fault{Path: "/applications/auth-redirect", Status: 303, Header: http.Header{"Location": {"https://evil.com/?" + appParam + "=x"}}}, 503, "can't be reached", "5"},
		{codertest.Fault{Path: "/users/me", Hang: true}, 503, "can't be reached", "5"},
	} {
		heal := f.coder.Fail(test.fault)
		if test.fault.Hang {
			f.FrontEnd.Deadline = 400 * time.Millisecond
		}
		got := f.enter(t, token, appURI)
		got.wantRefusal(t, test.fault.Path, test.status, test.want)
		if got.header.Get("Retry-After") != test.retryAfter || got.header.Get("Location") != "" {
			t.Errorf("%+v: %v", test.fault, got.header)
		}
		heal()
		f.FrontEnd.Deadline = patience
		eventually(t, "the way is open again", func() bool {
			f.FrontEnd.Limits = frontend.UserLimits{}
			return f.enter(t, token, appURI).status == 303
		})
	}
}

// A key that may open apps and nothing else can't wake its user, and need not.
func TestAuthRedirectWithANarrowKey(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user, key := f.withKey(t)
	if _, err := f.client.Me(t.Context(), key); err != nil { // in Coder the refused call wakes as well
		t.Fatal(err)
	}
	f.coder.Fail(codertest.Fault{Path: "/users/me", Status: 404, Body: `{"message":"Resource not found or you do not have access to this resource"}`})
	if got := f.enter(t, f.token(t, user, key), appURI); got.status != 303 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// The address is a secret, as is the key: neither gets into the log (see also checkLog).
func TestAuthRedirectLogsNoAddress(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user, key := f.withKey(t)
	token := f.token(t, user, key)
	f.enter(t, token, appURI)
	if log := f.log.String(); strings.Contains(log, appParam) || strings.Contains(log, token) || !strings.Contains(log, `"key_id":"`+key[:10]) {
		t.Errorf("log:\n%s", log)
	}
}

// A key that was deleted in Coder is not handed out again by the refresh that its bearer is asked for.
func TestAuthRedirectFindsTheKeyDead(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user, key := f.withKey(t)
	f.coder.DeleteKey(coderclient.KeyID(key))
	if got := f.enter(t, f.token(t, user, key), appURI); got.status != http.StatusUnauthorized {
		t.Fatalf("%d %s", got.status, got.body)
	}
	again := f.mint(t, user, "ada@example.com").key(t)
	if again == "" || again == key {
		t.Fatalf("the refresh brings %q", coderclient.KeyID(again))
	}
	if got := f.enter(t, f.token(t, user, again), appURI); got.status != http.StatusSeeOther {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// One whose token still has the old key can't have the new one thrown away.
func TestAuthRedirectWithAnOldKeyHarmsNotTheNew(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user, key := f.withKey(t)
	old := strings.Repeat("o", 10) + "-" + strings.Repeat("d", 22)
	if got := f.enter(t, f.token(t, user, old), appURI); got.status != http.StatusUnauthorized {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if again := f.mint(t, user, "ada@example.com").key(t); again != key {
		t.Errorf("the refresh brings %q", coderclient.KeyID(again))
	}
}
