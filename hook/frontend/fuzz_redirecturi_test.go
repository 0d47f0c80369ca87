package frontend

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// appHosts are wildcard hosts as Coder gives them, and some that must let nothing pass.
var appHosts = []string{
	"*.apps.example.com", "*--apps.example.com:8443", "*.apps.localhost:7996", "*.APPS.example.com:443",
	"", "*", "*.", "apps.example.com", "*com", "*.apps.*.com",
}

// What passes for a workspace app's address, against a reference that knows nothing of net/url:
// http or https, one label under Coder's host, its port, and no character that two programs could
// read in two ways. What goes on to Coder is the same address.
func FuzzRedirectURI(f *testing.F) {
	for _, raw := range recordedRedirects(f) {
		f.Add(raw, uint8(2))
	}
	for _, raw := range []string{
		"http://a.apps.example.com/", "https://a--b.apps.example.com:443?x#y", "HTTPS://A.apps.example.com", "https://a--apps.example.com:8443/%2e%2e/",
		"http://u@a.apps.example.com", "http://u:p@a.apps.example.com", "http://evil.example/@a.apps.example.com", "http://evil.example#.apps.example.com",
		"http://evil.example\\.apps.example.com", "http://a.b.apps.example.com", "http://.apps.example.com", "http://apps.example.com",
		"//a.apps.example.com", "javascript://a.apps.example.com/%0aalert(1)", "http:a.apps.example.com", "http:///a.apps.example.com",
		"http://[a.apps.example.com]", "http://[::1].apps.example.com", "http://a.apps.example.com:", "http://a.apps.example.com:080", "http://a.apps.example.com:80:443",
		"http://a%2eapps.example.com", "http://a.apps.example.com/%zz", "http://a.apps.example.com\n", "http://é.apps.example.com", "http://a.apps.example.com.",
		"http://a_b.apps.example.com", "http://a.apps.example.com/#%zz", "http://a.apps.example.com?%zz#", "http://%61.apps.example.com",
		`http://a.apps.example.com/"|?"|#"|#`, `http://a.apps.example.com/%2F"`, `http://a.apps.example.com/#%2F"`, "http://a.apps.example.com/%2F?#%2F",
	} {
		for host := range appHosts {
			f.Add(raw, uint8(host))
		}
	}
	f.Fuzz(func(t *testing.T, raw string, which uint8) {
		host := appHosts[int(which)%len(appHosts)]
		u, err := parseAppURI(raw)
		passes := err == nil && isApp(u, host)
		if want := isAppAddress(raw, host); passes != want {
			t.Fatalf("%q under %q passes: %t, want %t (%v)", raw, host, passes, want, err)
		}
		if passes && (u.User != nil || !isAppAddress(u.String(), host) || address.FindStringSubmatch(u.String())[3] != goesOn(raw)) {
			t.Fatalf("%q went on as %q", raw, u)
		}
	})
}

var (
	address = regexp.MustCompile(`^(?i:https?)://([A-Za-z0-9.-]+)(:[0-9]*)?([/?#][!-\[\]-~]*)?$`)
	label   = regexp.MustCompile(`^[a-z0-9-]+$`)
	odd     = regexp.MustCompile(`["<>^\x60{|}#]`)
	escapes = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
)

// isAppAddress takes the address apart by pattern.
func isAppAddress(raw, wildcard string) bool {
	found := address.FindStringSubmatch(raw)
	host, port, _ := strings.Cut(strings.ToLower(wildcard), ":")
	if found == nil || !strings.HasPrefix(host, "*") || strings.Trim(host[1:], ".") == "" || !strings.Contains(host[1:], ".") {
		return false
	}
	name, under := strings.CutSuffix(strings.ToLower(found[1]), host[1:])
	return under && label.MatchString(name) && samePortNumber(strings.TrimPrefix(found[2], ":"), port) && wellEscaped(found[3])
}

// samePortNumber: 80, 443 and none are the same, as Coder decides about the scheme.
func samePortNumber(a, b string) bool {
	standard := map[string]bool{"": true, "80": true, "443": true}
	return a == b || standard[a] && standard[b]
}

// parts of what follows the host: with their marks, so that path + query + fragment is the whole.
func parts(tail string) (path, query, fragment string) {
	if i := strings.IndexByte(tail, '#'); i >= 0 {
		tail, fragment = tail[:i], tail[i:]
	}
	if i := strings.IndexByte(tail, '?'); i >= 0 {
		tail, query = tail[:i], tail[i:]
	}
	return tail, query, fragment
}

// wellEscaped: no half-made escapes in path and fragment, and none at all beside a character that
// should be one. A query is its reader's business.
func wellEscaped(tail string) bool {
	path, _, fragment := parts(tail)
	for _, part := range []string{path, fragment} {
		bare := escapes.ReplaceAllString(part, "")
		if strings.Contains(bare, "%") || bare != part && escapedOdd(part) != part {
			return false
		}
	}
	return true
}

// escapedOdd escapes what neither a path nor a fragment may hold as it is.
func escapedOdd(part string) string {
	mark := part[:min(1, len(part))] // the slash of a path or the number sign of a fragment
	return mark + odd.ReplaceAllStringFunc(part[len(mark):], func(c string) string { return fmt.Sprintf("%%%02X", c[0]) })
}

// goesOn is what follows the host in the address that Coder gets.
func goesOn(raw string) string {
	path, query, fragment := parts(address.FindStringSubmatch(raw)[3])
	if fragment == "#" {
		fragment = ""
	}
	return escapedOdd(path) + query + escapedOdd(fragment)
}

// recordedRedirects are those that real Coder servers were asked for.
func recordedRedirects(t testing.TB) (asked []string) {
	t.Helper()
	files, err := filepath.Glob("../../testdata/coder/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d recordings (%v)", len(files), err)
	}
	for _, file := range files {
		content, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer content.Close()
		lines := bufio.NewScanner(content)
		for lines.Buffer(nil, 1<<20); lines.Scan(); {
			var exchange struct{ Path string }
			if err := json.Unmarshal(lines.Bytes(), &exchange); err != nil {
				t.Fatal(err)
			}
			if u, err := url.Parse(exchange.Path); err == nil && u.Query().Has("redirect_uri") {
				asked = append(asked, u.Query().Get("redirect_uri"))
			}
		}
	}
	return asked
}
