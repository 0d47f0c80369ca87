package hook

import (
	"net/http"
	"strings"
	"testing"
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
	s.server = func(server *Server) { server.FrontEnd.CORS = CORS{} }
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
		cors                CORS
		origin, credentials string
	}{
		{CORS{Origins: []string{"*"}}, "*", ""},
		{CORS{Origins: []string{page}, Credentials: true}, page, "true"},
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

func TestOriginsAreChecked(t *testing.T) {
	t.Parallel()
	for _, good := range []CORS{
		{},
		{Credentials: true},
		{Origins: []string{"*"}},
		{Origins: []string{page, "http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:3000"}, Credentials: true},
	} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for want, bad := range map[string]CORS{
		`together with credentials`:         {Origins: []string{"*"}, Credentials: true},
		`beside other origins`:              {Origins: []string{page, "*"}},
		`"https://a.b/" is not an origin`:   {Origins: []string{"https://a.b/"}},
		`"https://a.b/x" is not an origin`:  {Origins: []string{"https://a.b/x"}},
		`"a.b" is not an origin`:            {Origins: []string{"a.b"}},
		`"null" is not an origin`:           {Origins: []string{"null"}},
		`"https://*.a.b" is not an origin`:  {Origins: []string{"https://*.a.b"}},
		`"https://a?b" is not an origin`:    {Origins: []string{"https://a?b"}},
		`"HTTPS://a.b" is not an origin`:    {Origins: []string{"HTTPS://a.b"}},
		`"https://A.b" is not an origin`:    {Origins: []string{"https://A.b"}},
		`"https://u@a.b" is not an origin`:  {Origins: []string{"https://u@a.b"}},
		`"ftp://a.b" is not an origin`:      {Origins: []string{"ftp://a.b"}},
		`"https://:8443" is not an origin`:  {Origins: []string{"https://:8443"}},
		`"https://a.b#x" is not an origin`:  {Origins: []string{"https://a.b#x"}},
		`"chrome://a.b" is not an origin`:   {Origins: []string{"chrome://a.b"}},
		`"https://a%2eb" is not an origin`:  {Origins: []string{"https://a%2eb"}},
		`"//a.b" is not an origin`:          {Origins: []string{"//a.b"}},
		`"" is not an origin`:               {Origins: []string{""}},
		`"https://a.b?x" is not an origin`:  {Origins: []string{"https://a.b?x"}},
		`"https://a.b\\c" is not an origin`: {Origins: []string{`https://a.b\c`}},
	} {
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", bad, err, want)
		}
	}
}
