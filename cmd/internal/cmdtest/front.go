package cmdtest

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"coderhook/cmd/internal/selfsigned"
	"coderhook/coderclient/codertest"
)

// AccessSecret is what a Front wants in the header Cf-Access-Client-Secret.
const AccessSecret = "0123-cf-access-secret"

// Front is all that can stand before Coder: a forward proxy, then a host with a certificate of an own authority, that
// wants a client certificate and a header, and has Coder under a path.
type Front struct {
	ClientDir string // has the pair that is shown to it
	variables map[string]string

	mu    sync.Mutex
	asked []string // of the forward proxy
	shown []string // names in client certificates
}

// NewFront starts one before a fake Coder.
func NewFront(t *testing.T, coder *codertest.Server) *Front {
	t.Helper()
	f := &Front{ClientDir: t.TempDir()}
	server := f.serve(t, coder.URL)
	client, err := selfsigned.Write(f.ClientDir, "first", time.Now().Add(30*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	f.variables = map[string]string{
		"CODER_URL": "https://coder.example.com/tools", "HTTPS_PROXY": f.forward(t, server.addr),
		"CODER_HEADERS": "CF-Access-Client-Id: me|CF-Access-Client-Secret: " + AccessSecret,
		"CODER_CA_FILE": server.pair.Cert, "CODER_CLIENT_CERT_FILE": client.Cert, "CODER_CLIENT_KEY_FILE": client.Key,
	}
	return f
}

// Variables lead a server through it.
func (f *Front) Variables() map[string]string { return f.variables }

// Asked lists what the forward proxy was asked for.
func (f *Front) Asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// Shown lists the names in the client certificates of connections.
func (f *Front) Shown() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shown
}

type frontServer struct {
	addr string
	pair selfsigned.Pair
}

// serve wants header and certificate; whoever has not both is led to a login.
func (f *Front) serve(t *testing.T, coder string) frontServer {
	t.Helper()
	behind, err := url.Parse(coder)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := selfsigned.Write(t.TempDir(), "coder.example.com", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	pass := http.StripPrefix("/tools", httputil.NewSingleHostReverseProxy(behind))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cf-Access-Client-Secret") != AccessSecret || len(r.TLS.PeerCertificates) == 0 {
			http.Redirect(w, r, "https://team.cloudflareaccess.com/login?meta="+AccessSecret, http.StatusFound)
			return
		}
		w.Header().Set("Connection", "close") // so that each request shows a certificate
		pass.ServeHTTP(w, r)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert, VerifyPeerCertificate: f.see}
	s.StartTLS()
	t.Cleanup(s.Close)
	return frontServer{s.Listener.Addr().String(), pair}
}

func (f *Front) see(raw [][]byte, _ [][]*x509.Certificate) error {
	for _, one := range raw {
		if certificate, err := x509.ParseCertificate(one); err == nil {
			f.mu.Lock()
			f.shown = append(f.shown, certificate.DNSNames...)
			f.mu.Unlock()
		}
	}
	return nil
}

// forward starts a proxy that leads to one address, whatever it is asked for.
func (f *Front) forward(t *testing.T, leadsTo string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, r.Method+" "+r.Host)
		f.mu.Unlock()
		to, err := net.Dial("tcp", leadsTo)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer to.Close()
		from, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		_, _ = io.WriteString(from, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
		_, _ = io.Copy(from, to)
	}))
	t.Cleanup(s.Close)
	address, _ := url.Parse(s.URL)
	address.User = url.UserPassword("me", "hunter2")
	return address.String()
}
