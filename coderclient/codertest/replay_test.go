package codertest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
)

// exchange is a line of testdata/coder.
type exchange struct {
	Name         string            `json:"name"`
	Method       string            `json:"method"`
	Path         string            `json:"path"`
	As           string            `json:"as"`
	Header       map[string]string `json:"header"`
	Body         json.RawMessage   `json:"body"`
	Status       int               `json:"status"`
	AnswerHeader map[string]string `json:"answer_header"`
	Answer       any               `json:"answer"`
}

func readExchanges(t *testing.T, version string) []exchange {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "testdata", "coder", version+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() // read only
	var list []exchange
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var x exchange
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		if raw, ok := x.Answer.(string); ok {
			x.Answer = decoded([]byte(raw))
		}
		list = append(list, x)
	}
	return list
}

// replay sends what was recorded with our ids and keys in the place of the recorded ones.
type replay struct {
	t         *testing.T
	server    *codertest.Server
	exchanges []exchange
	ours      map[string]string // by recorded id or key
	keys      map[string]string // whole, by the name in "as"
}

func newReplay(t *testing.T, version string, p codertest.Profile, opts []codertest.Option) *replay {
	t.Helper()
	opts = append(opts, codertest.Clock(ticking()), codertest.With(func(set *codertest.Settings) {
		set.RateLimit, set.AppHost = 512, "*.apps.localhost:7990"
	}))
	s := codertest.Start(p, opts...)
	t.Cleanup(s.Close)
	rp := &replay{
		t: t, server: s, exchanges: readExchanges(t, version),
		ours: map[string]string{}, keys: map[string]string{"owner": s.OwnerToken},
	}
	for _, x := range rp.exchanges {
		rp.learnOrganization(x)
	}
	return rp
}

// ticking is a clock on which every look takes a millisecond, so that nothing happens at the same time.
func ticking() func() time.Time {
	var mu sync.Mutex
	now := time.Date(2026, 11, 23, 7, 11, 0, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Millisecond)
		return now
	}
}

// learnOrganization: users say where they belong before organizations are asked for.
func (rp *replay) learnOrganization(x exchange) {
	user, _ := x.Answer.(map[string]any)
	if orgs, _ := user["organization_ids"].([]any); len(orgs) == 1 {
		rp.ours[orgs[0].(string)] = rp.server.OrganizationID().String()
	}
}

// faults sends x and says how the answer differs from the recorded one.
func (rp *replay) faults(x exchange) []string {
	rp.t.Helper()
	header := http.Header{}
	for name, value := range x.Header {
		header.Set(name, rp.fillIn(x.Name, value))
	}
	body := []byte(x.Body)
	var raw string
	if json.Unmarshal(body, &raw) == nil && len(body) > 0 {
		body = []byte(raw)
	}
	resp, answer := rp.send(x.Method, rp.fillIn(x.Name, x.Path), header, rp.substitute(string(body)))
	rp.learn(x, answer)
	return compareAnswers(x, resp, answer)
}

func (rp *replay) send(method, path string, header http.Header, body string) (*http.Response, any) {
	rp.t.Helper()
	req, err := http.NewRequestWithContext(rp.t.Context(), method, rp.server.URL+path, strings.NewReader(body))
	if err != nil {
		rp.t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		rp.t.Fatal(err)
	}
	defer resp.Body.Close() // read only
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		rp.t.Fatal(err)
	}
	return resp, decoded(raw)
}

// decoded is a string where raw is not exactly one JSON value.
func decoded(raw []byte) any {
	var value any
	if json.Unmarshal(bytes.TrimSpace(raw), &value) != nil {
		return string(raw)
	}
	return value
}

var placeholder = regexp.MustCompile(`<([a-z0-9-]+)>`)

// fillIn puts keys where the recording has their names.
func (rp *replay) fillIn(name, text string) string {
	text = placeholder.ReplaceAllStringFunc(text, func(found string) string {
		key := strings.Trim(found, "<>")
		if key == "literal" {
			return rp.badKey(name)
		}
		if rp.keys[key] == "" {
			rp.t.Fatalf("%s: no key %q", name, key)
		}
		return rp.keys[key]
	})
	return rp.substitute(text)
}

// badKey stands for a key that was recorded nowhere but in what it is called.
func (rp *replay) badKey(name string) string {
	const secret = "0123456789012345678901"
	switch {
	case strings.Contains(name, "malformed-id-length"):
		return "abcde-" + secret
	case strings.Contains(name, "malformed"):
		return "garbage"
	case strings.Contains(name, "wrong-secret"):
		id, _, _ := strings.Cut(rp.keys["alice-t30"], "-")
		return id + "-" + secret
	}
	return "AAAAAAAAAA-" + secret
}

func (rp *replay) substitute(text string) string {
	for recorded, ours := range rp.ours {
		text = strings.ReplaceAll(text, recorded, ours)
	}
	return text
}

// learn pairs the ids and keys of both answers.
func (rp *replay) learn(x exchange, answer any) {
	want, _ := x.Answer.(map[string]any)
	got, _ := answer.(map[string]any)
	for _, field := range []string{"id", "key", "session_token"} {
		theirs, _ := want[field].(string)
		ours, _ := got[field].(string)
		if theirs == "" || ours == "" {
			continue
		}
		rp.pair(theirs, ours)
		if field == "key" {
			rp.nameKey(x, ours)
		}
	}
}

// pair also knows the forms in which an id or a key appears in paths.
func (rp *replay) pair(theirs, ours string) {
	rp.ours[theirs] = ours
	if wholeKey.MatchString(theirs) {
		rp.ours[theirs[:10]] = ours[:10]
	}
	rp.ours[strings.ReplaceAll(theirs, "-", "")] = strings.ReplaceAll(ours, "-", "")
}

// nameKey gives a new token the names by which the recording calls it.
func (rp *replay) nameKey(x exchange, whole string) {
	var asked struct {
		Name string `json:"token_name"`
	}
	_ = json.Unmarshal(x.Body, &asked) // a body that is no object has no name
	user := strings.Split(strings.TrimPrefix(x.Path, "/api/v2/users/"), "/")[0]
	rp.name(user, asked.Name, whole)
}

func (rp *replay) name(user, token, whole string) {
	if name := keyNames[user+"/"+token]; name != "" {
		rp.keys[name] = whole
	}
	if id := keyIDs[user+"/"+token]; id != nil {
		for _, recorded := range id {
			rp.ours[recorded] = whole[:10]
		}
	}
}
