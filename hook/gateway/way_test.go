package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"coderhook/coderclient"
	"coderhook/hook/gateway"

	"github.com/coder/websocket/wsjson"
)

const accessSecret = "0123-cf-access-secret"

// front is a proxy in front of Coder, under a path, that wants a header and a client certificate, and shows what it got.
func front(t *testing.T, coder string) (s *httptest.Server, strangers *atomic.Int32) {
	t.Helper()
	behind, err := url.Parse(coder)
	if err != nil {
		t.Fatal(err)
	}
	strangers = new(atomic.Int32)
	pass := http.StripPrefix("/tools", &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(behind); pr.Out.Header.Del("Cf-Access-Client-Secret") },
		ModifyResponse: func(resp *http.Response) error {
			resp.Header.Set("X-You-Sent", accessSecret)
			return nil
		},
	})
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cf-Access-Client-Secret") != accessSecret || len(r.TLS.PeerCertificates) == 0 {
			strangers.Add(1)
			http.Redirect(w, r, "https://team.cloudflareaccess.com/login?meta="+accessSecret, http.StatusFound)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, strangers
}

// forwardProxy leads to one address, whatever it is asked for.
func forwardProxy(t *testing.T, leadsTo string) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, err := net.Dial("tcp", leadsTo)
		if err != nil || r.Method != http.MethodConnect {
			t.Error(r.Method, err)
			return
		}
		defer to.Close()
		from, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer from.Close()
		_, _ = io.WriteString(from, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
		_, _ = io.Copy(from, to)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Requests and WebSockets go through a forward proxy, to a host that wants a client certificate and a header, under a
// path; and nothing of that is seen by the page.
func TestTheWayToCoder(t *testing.T) {
	t.Parallel()
	var strangers *atomic.Int32
	s := newStand(t, func(g *gateway.Gateway) {
		server, seen := front(t, g.Coder)
		strangers = seen
		through := forwardProxy(t, server.Listener.Addr().String())
		trusted := x509.NewCertPool()
		trusted.AddCert(server.Certificate())
		way := coderclient.Way{
			Authorities: trusted,
			Certificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &server.TLS.Certificates[0], nil },
			Proxy:       func(*url.URL) (*url.URL, error) { return through, nil },
		}
		g.Coder, g.Transport, g.Headers = "https://example.com/tools", way.Transport(), http.Header{"Cf-Access-Client-Secret": {accessSecret}}
		t.Cleanup(g.Transport.CloseIdleConnections)
	})
	got := s.do("GET", "/api/v2/users/me", nil)
	if got.status != http.StatusOK || !strings.Contains(got.body, `"alice"`) {
		t.Errorf("got %d %s", got.status, got.body)
	}
	ctx, conn := s.terminal("alice")
	if err := wsjson.Write(ctx, conn, map[string]string{"data": "hello"}); err != nil {
		t.Fatal(err)
	}
	if _, raw, err := conn.Read(ctx); err != nil || string(raw) != "hello" {
		t.Errorf("%q %v", raw, err)
	}
	if strangers.Load() > 0 {
		t.Errorf("%d requests without certificate or header", strangers.Load())
	}
	for name, values := range got.header {
		if strings.Contains(strings.Join(values, " "), accessSecret) {
			t.Errorf("the page sees %s: %v", name, values)
		}
	}
}

// The page of a proxy that wants a login is not passed on as if it were Coder's, and the log names it.
func TestALoginPageInFrontOfCoderIsNotPassedOn(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusOK, http.StatusFound, http.StatusUnauthorized, http.StatusForbidden} {
		s := alone(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Location", "https://team.cloudflareaccess.com/login?meta="+accessSecret)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html>you sent "+accessSecret)
		}, func(g *gateway.Gateway) {
			g.Headers = http.Header{"Cf-Access-Client-Secret": {accessSecret}}
			g.LoginPage = func(resp *http.Response) error {
				return coderclient.NotCoder(resp.StatusCode, resp.Header, resp.Request.URL)
			}
		})
		got := s.do("GET", "/api/v2/users/me", nil)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || strings.Contains(got.body, "html") {
			t.Errorf("%d: got %d %s", status, got.status, got.body)
		}
		if log := s.log.String(); !strings.Contains(log, coderclient.ErrLogin.Error()) || strings.Contains(log, accessSecret) {
			t.Errorf("%d: log: %s", status, log)
		}
		if s.keys.doubted() > 0 {
			t.Errorf("%d: the user's key was doubted for a proxy's answer", status)
		}
	}
}
