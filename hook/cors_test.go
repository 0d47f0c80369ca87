package hook

import (
	"net/http"
	"strings"
	"testing"

	"coderhook/hook/frontend"
)

func preflightOf(origin, method string) http.Header {
	return http.Header{
		"Origin": {origin}, "Access-Control-Request-Method": {method},
		"Access-Control-Request-Headers": {"authorization,content-type"},
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	for method, path := range bothRoutes {
		for _, origin := range []string{page, "http://localhost:5173"} {
			got := f.send(t, http.MethodOptions, path, "", preflightOf(origin, method), nil)
			h := got.header
			if got.status != 204 || h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Methods") != method ||
				h.Get("Access-Control-Allow-Headers") != "Authorization,Content-Type,Accept" || h.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s: %d %v", origin, path, got.status, h)
			}
		}
		for _, origin := range []string{"https://evil.example.com", "https://app.example.com.evil.com", "http://app.example.com", page + ":8443", "null", ""} {
			got := f.send(t, http.MethodOptions, path, "", preflightOf(origin, method), nil)
			if got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "" || got.header.Get("Access-Control-Allow-Methods") != "" {
				t.Errorf("%q is let in: %d %v", origin, got.status, got.header)
			}
		}
	}
	f.wantNothing(t)
}

// A page must be able to read refusals, too, and when to come back.
func TestCORSOnAnswersAndRefusals(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	user := f.db.AddUser(t, "ada@example.com")
	for token, status := range map[string]int{f.token(t, user, ""): 201, "": 401} {
		got := f.send(t, http.MethodPost, createRoute, token, http.Header{"Origin": {page}}, nil)
		if got.status != status || got.header.Get("Access-Control-Allow-Origin") != page ||
			!strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "Retry-After") || !varies(got.header, "Origin") {
			t.Errorf("%d %v, want %d", got.status, got.header, status)
		}
	}
	got := f.send(t, http.MethodPost, createRoute, f.token(t, user, ""), http.Header{"Origin": {"https://evil.example.com"}}, nil)
	if got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a stranger may read: %v", got.header)
	}
}

func varies(header http.Header, name string) bool {
	return strings.Contains(strings.Join(header.Values("Vary"), ","), name)
}

func TestNoCORSElsewhere(t *testing.T) {
	t.Parallel()
	f := newFront(t, patient())
	for _, path := range []string{"/hooks/custom-access-token", "/healthz", "/readyz", "/nowhere", "/", "/create-coder-user/x", "/applications"} {
		for _, method := range []string{http.MethodOptions, http.MethodGet, http.MethodPost} {
			got := f.send(t, method, path, "", preflightOf(page, http.MethodPost), nil)
			for name := range got.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s: %s: %s", method, path, name, got.header.Get(name))
				}
			}
		}
	}
}

func TestWithoutOriginsThereIsNoCORS(t *testing.T) {
	t.Parallel()
	s := patient()
	s.server = func(server *Server) { server.FrontEnd.CORS = frontend.CORS{} }
	f := newFront(t, s)
	token := f.token(t, f.db.AddUser(t, "ada@example.com"), "")
	for method, path := range bothRoutes {
		for _, how := range []string{http.MethodOptions, method} {
			got := f.send(t, how, path, token, preflightOf(page, method), nil)
			if got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s: %v", how, path, got.header)
			}
		}
	}
}

func TestCORSForEveryPageOrWithCredentials(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cors                frontend.CORS
		origin, credentials string
	}{
		{frontend.CORS{Origins: []string{"*"}}, "*", ""},
		{frontend.CORS{Origins: []string{page}, Credentials: true}, page, "true"},
	} {
		s := patient()
		s.server = func(server *Server) { server.FrontEnd.CORS = test.cors }
		f := newFront(t, s)
		got := f.send(t, http.MethodOptions, createRoute, "", preflightOf(page, http.MethodPost), nil)
		if got.header.Get("Access-Control-Allow-Origin") != test.origin || got.header.Get("Access-Control-Allow-Credentials") != test.credentials {
			t.Errorf("%+v: %v", test.cors, got.header)
		}
	}
}

// What looks like an allowed origin, and is another one.
func TestOriginsThatLookAlike(t *testing.T) {
	t.Parallel()
	s := patient()
	s.server = func(server *Server) {
		server.FrontEnd.CORS = frontend.CORS{
			Origins: []string{page, "https://*.preview.example.com", "http://*.localhost:5173", "capacitor://localhost"},
			Headers: []string{"sentry-trace", "baggage", "traceparent"},
		}
	}
	f := newFront(t, s)
	ask := func(origin string) string {
		got := f.send(t, http.MethodOptions, createRoute, "", preflightOf(origin, http.MethodPost), nil)
		if allowed := got.header.Get("Access-Control-Allow-Headers"); allowed != "" && allowed != "Authorization,Content-Type,Accept,sentry-trace,baggage,traceparent" {
			t.Errorf("headers: %s", allowed)
		}
		return got.header.Get("Access-Control-Allow-Origin")
	}
	for _, origin := range []string{page, "https://pr-7.preview.example.com", "https://a.preview.example.com", "http://x.localhost:5173", "capacitor://localhost"} {
		if got := ask(origin); got != origin {
			t.Errorf("%s is not let in: %q", origin, got)
		}
	}
	for _, origin := range []string{
		"https://app.example.com.evil.com", "https://app.example.com.", "https://app.example.com:443", "https://APP.example.com", "https://app.example.com/",
		"https://app-example.com", "https://app.example.comevil.com", "https://evil.com#https://app.example.com", "https://app.example.com@evil.com",
		"https://preview.example.com", "https://.preview.example.com", "https://a.b.preview.example.com", "https://evilpreview.example.com",
		"https://a.preview.example.com.evil.com", "https://a.preview.example.com:8443", "http://a.preview.example.com", "https://*.preview.example.com",
		"https://evil.com/.preview.example.com", "https://evil.com?.preview.example.com", "https://evil.com#.preview.example.com", "https://u@a.preview.example.com",
		"https://evil.com:1.preview.example.com", "https://a\\.preview.example.com", "https://A.preview.example.com", "https://a.preview.example.com.", "https://a%2e.preview.example.com",
		"http://x.localhost", "http://x.localhost:51730", "capacitor://localhost.evil", "ionic://localhost", "null", "*", "file://", "https://" + strings.Repeat("a", 5000) + ".example.com",
	} {
		if got := ask(origin); got != "" {
			t.Errorf("%.80s is let in as %q", origin, got)
		}
	}
}
