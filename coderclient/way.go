package coderclient

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/http"
	"net/url"
)

// Way says how Coder is reached. Its zero value is the direct way.
type Way struct {
	Headers     http.Header                                                 // that a proxy in front of Coder wants of each request; their values are secrets
	Authorities *x509.CertPool                                              // who vouches for Coder; nil: whom this machine trusts
	Certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error) // shown where one is asked for; nil: none
	Proxy       func(*url.URL) (*url.URL, error)                            // through which an address is reached; nil: none
}

// Transport returns connections of their own that go this way. The headers are not its business.
func (w Way) Transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: w.Authorities, GetClientCertificate: w.Certificate}
	t.Proxy = nil
	if w.Proxy != nil {
		t.Proxy = func(r *http.Request) (*url.URL, error) { return w.Proxy(r.URL) }
	}
	return t
}

// secrets are the values of the headers, which an answer may repeat.
func (w Way) secrets() (values []string) {
	for list := range maps.Values(w.Headers) {
		values = append(values, list...)
	}
	return values
}
