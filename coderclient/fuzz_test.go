package coderclient_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"coderhook/coderclient"
)

// maxErrorText bounds what an error may put into a log or the ledger, in bytes.
const maxErrorText = 24 << 10

// Whatever Coder, or who stands in its place, answers: the error has method, path and status, is of
// one kind, and holds neither a key nor more text than can be read. In the answers $token and $uri
// stand for secrets of the request, for a server that echoes what it got.
func FuzzErrorAnswer(f *testing.F) {
	seedAnswers(f)
	for _, body := range []string{
		`{"message":"$token","detail":"$token $uri","validations":[{"field":"$token","detail":"$token"},{"field":"$uri","detail":"$uri"}]}`,
		`{"message":1}`, `{"message":"\u0000\ud800"}`, `[]`, `{"message":"a"}{"message":"b"}`, `<html>$token`, `null`, ``, `{"validations":null}`,
		`{"message":"` + strings.Repeat("long ", 5000) + `"}`, `{"validations":[` + strings.Repeat(`{"field":"f","detail":"d"},`, 5000) + `{}]}`,
	} {
		for _, status := range []uint16{200, 204, 302, 303, 400, 401, 404, 409, 429, 500, 502} {
			f.Add(status, []byte(body), "1", "v2.31.3", "http://a.apps.localhost/login?message=$token+$uri", uint8(status))
		}
	}
	f.Add(uint16(303), []byte(``), "", "v2.31.3", ":8080--main/?coder_application_connect_api_key_1=$token", uint8(0))
	f.Add(uint16(429), []byte(`{}`), "Mon, 23 Nov 2026 08:00:00 GMT", "", "", uint8(0))
	f.Fuzz(func(t *testing.T, status uint16, body []byte, retryAfter, version, location string, which uint8) {
		if len(body) > 1<<20 || !isHeaderValue(retryAfter+version+location) {
			return
		}
		call := failingCalls[int(which)%len(failingCalls)]
		fill := strings.NewReplacer("$token", call.token, "$uri", sentURI).Replace
		answer := func(int, *http.Request) (*http.Response, error) {
			h := http.Header{"Retry-After": {retryAfter}, "X-Coder-Build-Version": {version}, "Location": {fill(location)}}
			return &http.Response{StatusCode: int(status), Header: h, Body: io.NopCloser(strings.NewReader(fill(string(body))))}, nil
		}
		synctest.Test(t, func(t *testing.T) { // as short rate limits are waited for
			c, _ := inMemory(t, answer, func(cfg *coderclient.Config) { cfg.Token = func() string { return oddToken } })
			err := call.make(t, c)
			if err == nil {
				return
			}
			e, ok := errors.AsType[*coderclient.Error](err)
			if !ok || e.Method != call.method || e.Path != call.path || e.Status != int(status) {
				t.Fatalf("%d %q: %v, which is not of %s %s", status, body, err, call.method, call.path)
			}
			checkErrorText(t, err)
			wantOneKind(t, err)
			if e.RetryAfter < 0 || e.RetryAfter > 0 && status != http.StatusTooManyRequests {
				t.Errorf("%d %q: come back after %s", status, retryAfter, e.RetryAfter)
			}
		})
	})
}

const (
	oddToken = "token of no known shape"
	sentURI  = "http://a.apps.localhost/?q=querySecret"
)

// failingCalls have each a secret of their own.
var failingCalls = []struct {
	method, path, token string
	make                func(*testing.T, *coderclient.Client) error
}{
	{"GET", "/api/v2/users/me", userKey, func(t *testing.T, c *coderclient.Client) error {
		_, err := c.Me(t.Context(), userKey)
		return err
	}},
	{"POST", "/api/v2/users", oddToken, func(t *testing.T, c *coderclient.Client) error {
		_, err := c.CreateUser(t.Context(), coderclient.NewUser{Username: "alice"})
		return err
	}},
	{"GET", "/api/v2/applications/auth-redirect", userKey, func(t *testing.T, c *coderclient.Client) error {
		_, err := c.AuthRedirect(t.Context(), userKey, sentURI)
		return err
	}},
	{"DELETE", "/api/v2/users/" + someID.String(), oddToken, func(t *testing.T, c *coderclient.Client) error {
		return c.DeleteUser(t.Context(), someID)
	}},
}

func checkErrorText(t *testing.T, err error) {
	t.Helper()
	text := spelledOut(err)
	for _, secret := range []string{oddToken, userKey[11:], "querySecret"} {
		if strings.Contains(text, secret) {
			t.Errorf("holds %q: %s", secret, text)
		}
	}
	if n := len(err.Error()); n > maxErrorText {
		t.Errorf("an error of %d bytes", n)
	}
}

// wantOneKind: only a rate limit is of two kinds.
func wantOneKind(t *testing.T, err error) {
	t.Helper()
	n := 0
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			n++
		}
	}
	if n != 1 && !(n == 2 && errors.Is(err, coderclient.ErrRateLimited) && errors.Is(err, coderclient.ErrUnavailable)) {
		t.Errorf("is of %d kinds: %v", n, err)
	}
}

// isHeaderValue: others do not come through net/http.
func isHeaderValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// seedAnswers adds what real servers have answered to others than us.
func seedAnswers(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("../testdata/coder/*.jsonl")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d recordings (%v)", len(files), err)
	}
	for _, file := range files {
		content, err := os.Open(file)
		if err != nil {
			f.Fatal(err)
		}
		defer content.Close()
		version := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		lines := bufio.NewScanner(content)
		for lines.Buffer(nil, 1<<20); lines.Scan(); {
			var said struct {
				Status int
				Answer json.RawMessage
				Header struct {
					Location string
				} `json:"answer_header"`
			}
			if err := json.Unmarshal(lines.Bytes(), &said); err != nil {
				f.Fatal(err)
			}
			if said.Status >= 300 {
				f.Add(uint16(said.Status), []byte(said.Answer), "", version, said.Header.Location, uint8(said.Status))
			}
		}
	}
}
