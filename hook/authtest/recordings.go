// Package authtest plays Supabase Auth for the tests: a clock, secrets, recorded requests, an issuer of access tokens.
package authtest

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Recorded is a request that a real Supabase Auth has sent, with the bytes that it signed.
type Recorded struct {
	Name    string
	Secrets string
	Request struct {
		Headers map[string]string
		Body    string
	}
}

// Header returns what was sent, without what Go sets by itself.
func (r Recorded) Header() http.Header {
	h := make(http.Header)
	for name, value := range r.Request.Headers {
		if name != "Content-Length" && name != "Accept-Encoding" {
			h.Set(name, value)
		}
	}
	return h
}

// SentAt returns when it was signed.
func (r Recorded) SentAt(t testing.TB) time.Time {
	t.Helper()
	seconds, err := strconv.ParseInt(r.Header().Get("webhook-timestamp"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(seconds, 0)
}

// Recordings returns all, by their file without its ending.
func Recordings(t testing.TB) map[string]Recorded {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(sourceRoot(), "testdata/hook/*.json"))
	if err != nil || len(files) != 21 {
		t.Fatalf("%d recordings, want 21 (%v)", len(files), err)
	}
	all := make(map[string]Recorded)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var r Recorded
		if err := json.Unmarshal(content, &r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(file, ".json")] = r
	}
	return all
}

// sourceRoot is the folder of go.mod.
func sourceRoot() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../..")
}
