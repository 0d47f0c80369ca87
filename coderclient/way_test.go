package coderclient_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
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
	"coderhook/coderclient/codertest"
)

// Every request has the headers that a proxy in front wants, and no error shows them, whatever is answered.
func TestHeadersGoWithEveryRequestAndShowInNoError(t *testing.T) {
	t.Parallel()
	const secret = "0123-cf-access-secret"
	for _, status := range []int{200, 302, 400, 403, 500, 503} {
		var without atomic.Int32
		s, asked := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Cf-Access-Client-Secret") != secret {
				without.Add(1)
			}
			w.Header().Set("Location", "/"+secret)
			answerAs(w, status, fmt.Sprintf(`{"message":"you sent %s","detail":"%s"}`, secret, secret))
		})
		c := newClient(t, s.URL, func(cfg *coderclient.Config) {
			cfg.Way.Headers = http.Header{"Cf-Access-Client-Secret": {secret}}
			cfg.Breaker.Failures = 1000
		})
		for _, err := range everyCall(t, c) {
			if strings.Contains(spelledOut(err), secret) {
				t.Errorf("%d: shows the header: %v", status, err)
			}
		}
		if asked.Load() == 0 || without.Load() > 0 {
			t.Errorf("%d: %d of %d requests were without the header", status, without.Load(), asked.Load())
		}
	}
}

// What such a header is called can't put another key in the place of the one that is meant.
func TestHeadersDoNotReplaceTheKey(t *testing.T) {
	t.Parallel()
	s, _ := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Values("Coder-Session-Token"); len(got) != 1 || got[0] != userKey {
			t.Errorf("got %d keys", len(got))
		}
		answerAs(w, http.StatusOK, someUser)
	})
	c := newClient(t, s.URL, func(cfg *coderclient.Config) {
		cfg.Way.Headers = http.Header{"Coder-Session-Token": {ownerToken}}
	})
	if _, err := c.Me(t.Context(), userKey); err != nil {
		t.Error(err)
	}
}

// Who answers in Coder's place is told apart from a Coder that is down, without its address's path and query.
func TestAProxyThatWantsALoginIsNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		login  bool
		want   string
	}{
		"Cloudflare Access": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cf-Ray", "8f0-FRA")
			http.Redirect(w, r, "https://team.cloudflareaccess.com/cdn-cgi/access/login/coder?kid=secret&meta=secret", http.StatusFound)
		}, true, "it redirects to team.cloudflareaccess.com"},
		"own login page": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/oauth2/sign_in?rd=secret", http.StatusFound)
		}, true, "it redirects to 127.0.0.1"},
		"page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, "<html>log in, secret")
		}, true, "answers with a page"},
		"Cloudflare's refusal": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "cloudflare")
			http.Error(w, "<html>secret", http.StatusForbidden)
		}, true, "Cloudflare answers 403 in Coder's place"},
		"basic authentication": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Www-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
		}, true, "answers 401 in Coder's place"},
		"to https": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
		}, false, "a redirect to https://127.0.0.1"},
		"bad gateway": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>secret", http.StatusBadGateway) }, false, "not an answer of Coder's"},
		"other JSON":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }, false, "not an answer of Coder's"},
	} {
		s := httptest.NewServer(test.answer)
		_, err := newClient(t, s.URL, nil).Me(t.Context(), userKey)
		s.Close()
		if errors.Is(err, coderclient.ErrLogin) != test.login || !errors.Is(err, coderclient.ErrUnavailable) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sign_in") {
			t.Errorf("%s: shows too much: %v", name, err)
		}
	}
}

// A certificate of an own authority is taken, one of nobody's is not, and Coder gets the certificate that it asks for.
func TestTLSWithOwnAuthorityAndClientCertificate(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 {
			t.Error("no client certificate")
		}
		answerAs(w, http.StatusOK, someUser)
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	own := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &s.TLS.Certificates[0], nil }
	for name, test := range map[string]struct {
		way  coderclient.Way
		want string
	}{
		"all":            {coderclient.Way{Authorities: trusted, Certificate: own}, ""},
		"no authority":   {coderclient.Way{Certificate: own}, "certificate"},
		"no certificate": {coderclient.Way{Authorities: trusted}, "certificate required"},
	} {
		c := newClient(t, s.URL, func(cfg *coderclient.Config) { cfg.Way = test.way })
		_, err := c.Me(t.Context(), userKey)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// connectProxy is a forward proxy that leads to one address, whatever it is asked for.
func connectProxy(t *testing.T, leadsTo string) (address string, asked *bytes.Buffer) {
	t.Helper()
	asked = new(bytes.Buffer)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		asked.WriteString(r.Host + "\n")
		to, err := net.Dial("tcp", leadsTo)
		if err != nil {
			t.Error(err)
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
	return s.URL, asked
}

func TestThroughAForwardProxy(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answerAs(w, http.StatusOK, someUser) }))
	t.Cleanup(s.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	proxy, asked := connectProxy(t, s.Listener.Addr().String())
	through, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	way := coderclient.Way{Authorities: trusted, Proxy: func(to *url.URL) (*url.URL, error) {
		if to.Host != "example.com" {
			t.Errorf("asked for %s", to)
		}
		return through, nil
	}}
	client := &http.Client{Transport: way.Transport()}
	c := newClient(t, "https://example.com", func(cfg *coderclient.Config) { cfg.HTTPClient = client })
	_, err = c.Me(t.Context(), userKey)
	client.CloseIdleConnections()
	if err != nil || asked.String() != "example.com:443\n" {
		t.Errorf("got %v, and the proxy was asked for %q", err, asked)
	}
}

// Coder behind a path of its host, as a proxy that takes the path away shows it.
func TestCoderUnderAPathPrefix(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	behind, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.StripPrefix("/tools/coder", httputil.NewSingleHostReverseProxy(behind)))
	t.Cleanup(proxy.Close)
	for _, base := range []string{"/tools/coder", "/tools/coder/"} {
		c := newClient(t, proxy.URL+base, func(cfg *coderclient.Config) { cfg.Token = func() string { return s.OwnerToken } })
		if err := c.Probe(t.Context()); err != nil {
			t.Errorf("%s: %v", base, err)
		}
		if host, err := c.ApplicationHost(t.Context()); err != nil || host == "" {
			t.Errorf("%s: %q, %v", base, host, err)
		}
	}
	if _, err := newClient(t, proxy.URL, nil).Me(t.Context(), userKey); !errors.Is(err, coderclient.ErrUnavailable) {
		t.Errorf("without the prefix: %v", err)
	}
}
