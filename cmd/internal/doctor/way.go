package doctor

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// loginCure is what lets the server past a proxy that wants a login.
const loginCure = "set CODER_HEADERS to what that proxy wants (for Cloudflare Access a service token: CF-Access-Client-Id: …|CF-Access-Client-Secret: …), or let it pass this server without a login"

// checkWay says how Coder is reached, where that is not directly. It shows no header's value and no proxy's password.
func (d *Doctor) checkWay() {
	const check = "way to Coder"
	d.checkClientCertificate()
	var way []string
	if to, err := url.Parse(d.config.Coder.URL); err == nil {
		through, err := d.config.Coder.Way.Proxy(to)
		switch {
		case err != nil: // it can't happen to an address that was checked
		case through != nil:
			way = append(way, "through the proxy "+through.Redacted()+", by "+strings.ToUpper(to.Scheme)+"_PROXY")
		case d.Getenv(strings.ToUpper(to.Scheme)+"_PROXY") != "":
			way = append(way, "past "+strings.ToUpper(to.Scheme)+"_PROXY, by NO_PROXY or as it is on this machine")
		}
	}
	if names := slices.Sorted(maps.Keys(d.config.Coder.Way.Headers)); len(names) > 0 {
		way = append(way, "with the headers "+strings.Join(names, ", "))
	}
	if d.config.Coder.Way.Authorities != nil {
		way = append(way, "trusting CODER_CA_FILE as well")
	}
	if d.config.Client != nil {
		way = append(way, "with a client certificate")
	}
	if len(way) > 0 {
		d.ok(check, "%s", strings.Join(way, ", "))
	}
}

// checkClientCertificate warns before Coder no longer takes it.
func (d *Doctor) checkClientCertificate() {
	if d.config.Client != nil {
		d.judgeCertificate("client certificate", d.config.Client.Ends(), "CODER_CLIENT_CERT_FILE and CODER_CLIENT_KEY_FILE")
	}
}
