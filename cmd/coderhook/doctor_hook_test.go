package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient/codertest"

	"github.com/google/go-cmp/cmp"
)

func TestDoctorOnTheHooksAddress(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, codertest.Start(codertest.ProfileNew))
	for url, want := range map[string]string{
		"http://hook.example.com/hooks/custom-access-token": "refuses http://",
		"hook.example.com":     "is not a URL",
		"ftp://127.0.0.1/hook": "is not a URL",
	} {
		w.url = url
		found := w.doctor(t)
		wantResults(t, found, "failure hook's address")
		if !strings.Contains(found[0].Found, want) || !strings.Contains(found[0].Cure, "https://") {
			t.Errorf("%s: %+v", url, found)
		}
	}
}

func TestDoctorCallsTheHook(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, codertest.Start(codertest.ProfileNew))
	right := w.variables[secretsVariable]
	w.url = startServe(t, w.db, w.coder, secretsVariable+"="+right).url

	w.variables[secretsVariable] = randomSecret()
	found := w.doctor(t)
	wantResults(t, found, "failure signed call, secret 1")
	if !strings.Contains(found[0].Cure, secretsVariable) || !strings.Contains(found[0].Found, "signature not accepted") {
		t.Errorf("%+v", found)
	}
	w.variables[secretsVariable] += "|" + right // a rotation that the server does not know of
	wantResults(t, w.doctor(t), "failure signed call, secret 1")
	w.variables[secretsVariable] = right
	wantResults(t, w.doctor(t))
	w.url = strings.Replace(w.url, "127.0.0.1", "host.docker.internal", 1) // as in config.toml
	wantResults(t, w.doctor(t))

	w.url = strings.TrimSuffix(w.url, "token")
	found = w.doctor(t)
	wantResults(t, found, "failure signed call, secret 1")
	if !strings.Contains(found[0].Cure, "/hooks/custom-access-token") {
		t.Errorf("%+v", found)
	}
}

// Servers that are not this one, at the hook's address.
func TestDoctorOnOtherServers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter, body string)
		want   []string
	}{
		"takes all": {
			func(w http.ResponseWriter, body string) {
				_, claims, _ := strings.Cut(body, `"claims":`)
				claims, _, _ = strings.Cut(claims, `,"authentication_method"`)
				_, _ = io.WriteString(w, `{"claims":`+claims+`}`)
			},
			[]string{"failure unsigned call", "failure stale call", "failure call with a wrong secret"},
		},
		"changes claims": {
			func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, `{"claims":{}}`) },
			[]string{"failure signed call, secret 1"},
		},
		"redirects": {
			func(w http.ResponseWriter, _ string) {
				w.Header().Set("Location", "/login")
				w.WriteHeader(http.StatusFound)
			},
			[]string{"failure signed call, secret 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newDeployment(t, codertest.Start(codertest.ProfileNew))
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				test.answer(w, string(body))
			}))
			defer server.Close()
			w.url = server.URL + "/hooks/custom-access-token"
			if diff := cmp.Diff(test.want, results(w.doctor(t))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Supabase Auth follows a redirect that keeps method and body.
func TestDoctorOnARedirect(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, codertest.Start(codertest.ProfileNew))
	hook := startServe(t, w.db, w.coder, secretsVariable+"="+w.variables[secretsVariable]).url
	server := httptest.NewServer(http.RedirectHandler(hook, http.StatusPermanentRedirect))
	defer server.Close()
	w.url = server.URL + "/hooks/custom-access-token"
	found := w.doctor(t)
	wantResults(t, found, "warning signed call, secret 1")
	if !strings.Contains(found[0].Found, "redirect to "+hook) {
		t.Errorf("%+v", found)
	}
}

// A secret that can't sign is said, not passed over.
func TestDoctorTellsWhyItCannotSign(t *testing.T) {
	t.Parallel()
	d := &doctor{url: "http://127.0.0.1:1/"}
	if _, err := d.call(t.Context(), nil, "x", time.Now()); err == nil || !strings.Contains(err.Error(), "must look like") {
		t.Errorf("got %v", err)
	}
}

func TestDoctorSaysThatTheHookWasNotCalled(t *testing.T) {
	t.Parallel()
	out, _ := command(t, nil, "doctor")
	if !strings.Contains(out, "ok       hook: not called; give --url\n") {
		t.Errorf("got %s", out)
	}
}

// A hook that takes two seconds, by doctor's clock.
func TestDoctorOnASlowHook(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, codertest.Start(codertest.ProfileNew))
	url := startServe(t, w.db, w.coder, secretsVariable+"="+w.variables[secretsVariable]).url
	start, reads := time.Now(), 0
	d := &doctor{ctx: t.Context(), url: url, get: func(name string) string { return w.variables[name] }, now: func() time.Time {
		reads++
		return start.Add(time.Duration(reads) * time.Second)
	}}
	d.checkHook(t.Context())
	if d.count(warning) != 1 || d.count(failure) != 0 {
		t.Errorf("%+v", d.findings)
	}
}
