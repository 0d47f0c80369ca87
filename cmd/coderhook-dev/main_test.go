package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// The sample mint works on any machine that can run the tests, and shows no whole key.
func TestOnce(t *testing.T) {
	t.Parallel()
	variables := map[string]string{
		"LISTEN_ADDR":                      "127.0.0.1:0",
		"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS": "v1,whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
	}
	var out bytes.Buffer
	err := run(t.Context(), []string{"-once"}, func(name string) string { return variables[name] }, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		`+     "api_key": "`, "POST   /api/v2/users → 201", "calls to Coder: 0",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the output:\n%s", want, out.String())
		}
	}
	if key := regexp.MustCompile(`\b[A-Za-z0-9]{10}-[A-Za-z0-9]{22}\b`).FindString(out.String()); key != "" {
		t.Errorf("a whole key is shown: %.10s…", key)
	}
}

// With KEY_IN_CLAIMS=false the sample mint shows what stands in the claims instead.
func TestOnceWithoutTheKey(t *testing.T) {
	t.Setenv("KEY_IN_CLAIMS", "false")
	var out bytes.Buffer
	err := run(t.Context(), []string{"-once"}, func(name string) string { return map[string]string{"LISTEN_ADDR": "127.0.0.1:0"}[name] }, &out)
	if err != nil || !strings.Contains(out.String(), `+     "api_key_status": "ready"`) || strings.Contains(out.String(), `"api_key"`) ||
		!strings.Contains(out.String(), "without the key as before; calls to Coder: 0") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestBadCoderURL(t *testing.T) {
	t.Parallel()
	s := &stack{getenv: func(name string) string { return map[string]string{"CODER_URL": "coder"}[name] }, out: &report{w: new(bytes.Buffer)}}
	if err := s.startCoder(t.Context()); err == nil || !strings.Contains(err.Error(), "CODER_URL") {
		t.Errorf("got %v", err)
	}
}

func TestHelpIsNoFailure(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), []string{"-h"}, func(string) string { return "" }, new(bytes.Buffer)); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestABadDatabaseURLIsNotShown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := run(t.Context(), []string{"-once"}, func(name string) string {
		return map[string]string{"DATABASE_URL": "postgres://postgres:/Xk9KX7VJ2@127.0.0.1:1/x"}[name]
	}, &out)
	if err == nil || strings.Contains(out.String()+err.Error(), "KX7VJ2") || !strings.Contains(err.Error(), "percent-encode") {
		t.Errorf("%s%v", out.String(), err)
	}
}
