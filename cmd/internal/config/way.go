package config

import (
	"crypto/x509"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"

	"coderhook/cmd/internal/keypair"
	"coderhook/coderclient"

	"github.com/rs/zerolog"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http/httpproxy"
)

// readWay reads how Coder is reached.
func readWay(v *variables) (way coderclient.Way, client *keypair.Pair) {
	proxies := httpproxy.Config{HTTPProxy: v.proxy("HTTP_PROXY"), HTTPSProxy: v.proxy("HTTPS_PROXY"), NoProxy: v.text("NO_PROXY", "")}
	way = coderclient.Way{Headers: readHeaders(v), Authorities: readAuthorities(v), Proxy: proxies.ProxyFunc()}
	if client = readClientCertificate(v); client != nil {
		way.Certificate = client.ForServer
	}
	return way, client
}

// proxy reads the address of a forward proxy. No fault quotes it: it may hold a password.
func (v *variables) proxy(name string) string {
	text := v.text(name, "")
	address := text
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if text != "" && (err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)) {
		v.fault(name, "is not the address of a proxy; write it like http://forward.example.com:3128")
		return ""
	}
	return text
}

// ownHeaders are ours, the transport's, or such as could make Coder take us for somebody else.
var ownHeaders = []string{
	"Accept", "Connection", "Content-Length", "Content-Type", "Cookie", "Coder-Session-Token", "Expect", "Host", "Keep-Alive", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "User-Agent", "X-Forwarded-For",
}

// readHeaders reads lines like those of HTTP. In the variable itself they may be separated by | instead, as not all
// that sets variables can write several lines. No fault quotes a value.
func readHeaders(v *variables) http.Header {
	text := v.secret("CODER_HEADERS")
	if v.value("CODER_HEADERS") != "" {
		text = strings.ReplaceAll(text, "|", "\n")
	}
	headers := make(http.Header)
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch canonical := textproto.CanonicalMIMEHeaderKey(name); {
		case !found || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) || value == "":
			v.fault("CODER_HEADERS", "a line is no header; write them like CF-Access-Client-Id: ID, one a line or separated by |")
		case slices.Contains(ownHeaders, canonical) || strings.HasPrefix(canonical, "Sec-"):
			v.fault("CODER_HEADERS", "%s can't be set for Coder; name only what the proxy in front of it wants", canonical)
		default:
			headers.Add(canonical, value)
		}
	}
	return headers
}

// readAuthorities returns whom this machine trusts and those of the file; nil is the machine's alone.
func readAuthorities(v *variables) *x509.CertPool {
	path := v.text("CODER_CA_FILE", "")
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		v.fault("CODER_CA_FILE", "can't be read: %w; name a PEM file that the server may read", err)
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		v.fault("CODER_CA_FILE", "%s has no certificate; name a PEM file with the authority's", path)
	}
	return pool
}

// ClientVariables name the files of the certificate that Coder, or a proxy in front of it, asks for.
const ClientVariables = "CODER_CLIENT_CERT_FILE, CODER_CLIENT_KEY_FILE"

func readClientCertificate(v *variables) *keypair.Pair {
	cert, key := v.text("CODER_CLIENT_CERT_FILE", ""), v.text("CODER_CLIENT_KEY_FILE", "")
	switch {
	case cert == "" && key == "":
		return nil
	case cert == "" || key == "":
		v.fault("CODER_CLIENT_CERT_FILE", "goes together with CODER_CLIENT_KEY_FILE; set both or none")
		return nil
	}
	pair, err := keypair.Open(cert, key, zerolog.Nop())
	if err != nil {
		v.fault(ClientVariables, "can't be used: %w; name two PEM files that the server may read: the certificate with its chain, and its private key", err)
		return nil
	}
	return pair
}
