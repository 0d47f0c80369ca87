package config

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/selfsigned"

	"github.com/google/go-cmp/cmp"
)

func TestHeadersForAProxyInFrontOfCoder(t *testing.T) {
	t.Parallel()
	want := http.Header{"Cf-Access-Client-Id": {"an id"}, "Cf-Access-Client-Secret": {"a:b"}}
	const oneALine = "CF-Access-Client-Id: an id\r\n\nCF-Access-Client-Secret:a:b\n"
	file := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(file, []byte(oneALine), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"CODER_HEADERS_FILE": file,
		"CODER_HEADERS":      "CF-Access-Client-Id: an id|CF-Access-Client-Secret: a:b",
	} {
		variables := goodVariables()
		variables[name] = value
		c, err := read(variables)
		if diff := cmp.Diff(want, c.Coder.Way.Headers); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", name, err, diff)
		}
	}
	for text, want := range map[string]string{
		"hunter2":                         "a line is no header; write them like",
		"X Y: hunter2":                    "a line is no header",
		"X-Y: hunter2\x01":                "a line is no header",
		"X-Y:":                            "a line is no header",
		"coder-session-token: hunter2":    "Coder-Session-Token can't be set for Coder",
		"cookie: hunter2":                 "Cookie can't be set for Coder",
		"Sec-WebSocket-Key: hunter2":      "Sec-Websocket-Key can't be set for Coder",
		"Transfer-Encoding: hunter2|A: b": "Transfer-Encoding can't be set for Coder",
	} {
		variables := goodVariables()
		variables["CODER_HEADERS"] = text
		_, err := read(variables)
		if len(Faults(err)) != 1 || !strings.Contains(err.Error(), "CODER_HEADERS: "+want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestTheWayToCoderNamesItsFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pair, err := selfsigned.Write(dir, "coderhook", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ set, value, want string }{
		"authority not there": {"CODER_CA_FILE", filepath.Join(dir, "none"), "CODER_CA_FILE: can't be read: "},
		"authority's key":     {"CODER_CA_FILE", pair.Key, "has no certificate; name a PEM file"},
		"half a pair":         {"CODER_CLIENT_CERT_FILE", pair.Cert, "goes together with CODER_CLIENT_KEY_FILE; set both"},
		"other half":          {"CODER_CLIENT_KEY_FILE", pair.Key, "goes together with"},
		"proxy":               {"HTTPS_PROXY", "ftp://u:hunter2@proxy", "HTTPS_PROXY: is not the address of a proxy; write it like"},
		"proxy without name":  {"HTTP_PROXY", "http://", "HTTP_PROXY: is not the address of a proxy"},
	} {
		variables := goodVariables()
		variables[test.set] = test.value
		_, err := read(variables)
		if len(Faults(err)) != 1 || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	variables := goodVariables()
	variables["CODER_CLIENT_CERT_FILE"], variables["CODER_CLIENT_KEY_FILE"], variables["CODER_CA_FILE"] = pair.Cert, pair.Key, pair.Cert
	c, err := read(variables)
	if err != nil || c.Client == nil || c.Coder.Way.Certificate == nil || c.Coder.Way.Authorities == nil {
		t.Errorf("got %+v, %v", c.Coder.Way, err)
	}
}

func TestProxiesByCustom(t *testing.T) {
	for name, value := range goodVariables() {
		t.Setenv(name, value)
	}
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "NO_PROXY"} {
		t.Setenv(name, "")
	}
	t.Setenv("https_proxy", "forward.example.com:3128")
	t.Setenv("no_proxy", "inner.example.com")
	c, err := Read(Getenv)
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{
		"https://coder.example.com": "http://forward.example.com:3128", "https://inner.example.com": "<nil>", "http://coder.example.com": "<nil>",
	} {
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		if through, err := c.Coder.Way.Proxy(u); err != nil || fmt.Sprint(through) != want {
			t.Errorf("%s: through %v, %v", to, through, err)
		}
	}
}
