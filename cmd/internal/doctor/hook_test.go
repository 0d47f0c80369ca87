package doctor_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/doctor"
	"coderhook/coderclient/codertest"

	"github.com/google/go-cmp/cmp"
)

func TestDoctorOnTheHooksAddress(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	for url, want := range map[string]string{
		"http://hook.example.com/hooks/custom-access-token": "refuses http://",
		"hook.example.com":     "is not a URL",
		"ftp://127.0.0.1/hook": "is not a URL",
	} {
		w.URL = url
		found := w.Doctor(t)
		cmdtest.WantResults(t, found, "failure hook's address")
		if !strings.Contains(found[0].Found, want) || !strings.Contains(found[0].Cure, "https://") {
			t.Errorf("%s: %+v", url, found)
		}
	}
}

func TestDoctorCallsTheHook(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	right := w.Variables[config.SecretsVariable]
	w.URL = cmdtest.Start(t, w.DB, w.Coder, config.SecretsVariable+"="+right).URL

	w.Variables[config.SecretsVariable] = cmdtest.RandomSecret()
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure signed call, secret 1")
	if !strings.Contains(found[0].Cure, config.SecretsVariable) || !strings.Contains(found[0].Found, "signature not accepted") {
		t.Errorf("%+v", found)
	}
	w.Variables[config.SecretsVariable] += "|" + right // a rotation that the server does not know of
	cmdtest.WantResults(t, w.Doctor(t), "failure signed call, secret 1")
	w.Variables[config.SecretsVariable] = right
	cmdtest.WantResults(t, w.Doctor(t))
	w.URL = strings.TrimSuffix(w.URL, "token")
	found = w.Doctor(t)
	cmdtest.WantResults(t, found, "failure signed call, secret 1")
	if !strings.Contains(found[0].Cure, "/hooks/custom-access-token") {
		t.Errorf("%+v", found)
	}
}

// From a container, which is where Supabase Auth is, loopback is somewhere else.
func TestDoctorOnAServerThatContainersCannotReach(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere containers get to the machine's loopback")
	}
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	secret := config.SecretsVariable + "=" + w.Variables[config.SecretsVariable]
	w.Variables["LISTEN_ADDR"] = "127.0.0.1:8787"
	w.URL = strings.Replace(cmdtest.Start(t, w.DB, w.Coder, secret).URL, "127.0.0.1", "host.docker.internal", 1) // as in config.toml
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure hook's address")
	if len(found) != 1 || !strings.Contains(found[0].Cure, "set LISTEN_ADDR=:") {
		t.Errorf("%+v", found)
	}
	w.Variables["LISTEN_ADDR"] = ":8787"
	_, port, _ := net.SplitHostPort(cmdtest.Start(t, w.DB, w.Coder, secret, "LISTEN_ADDR=0.0.0.0:0").Addr)
	w.URL = "http://host.docker.internal:" + port + "/hooks/custom-access-token"
	cmdtest.WantResults(t, w.Doctor(t))
}

// A database behind a forwarded port is that of a container.
func TestDoctorOnLocalhostForAContainer(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("there is no second loopback address")
	}
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	postgres, _ := cmdtest.OwnServer(t, map[string]string{"pg_hba.conf": "host all all 127.0.0.0/8 scram-sha-256\n"}, "listen_addresses=127.0.0.1,127.0.0.2")
	forward := func(address string) string {
		return cmdtest.ListenFor(t, func(conn net.Conn) {
			server, err := net.Dial("tcp", address)
			if err != nil {
				return
			}
			defer server.Close()
			go func() { _, _ = io.Copy(server, conn); _ = server.Close() }()
			_, _ = io.Copy(conn, server)
		})
	}
	w.URL = w.Start(t).URL
	for address, want := range map[string][]string{"127.0.0.2": {"warning hook's address"}, "127.0.0.1": nil} {
		w.Variables["DATABASE_URL"] = "postgres://coderhook:right@" + forward(address+":"+postgres) + "/postgres?sslmode=disable"
		for _, host := range []string{"127.0.0.1", "localhost"} {
			w.URL = strings.Replace(w.URL, "127.0.0.1", host, 1)
			found := w.Doctor(t)
			cmdtest.WantResults(t, found, want...)
			if len(found) == 1 && !strings.Contains(found[0].Cure, "http://host.docker.internal:") {
				t.Errorf("%+v", found)
			}
		}
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
			w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				test.answer(w, string(body))
			}))
			defer server.Close()
			w.URL = server.URL + "/hooks/custom-access-token"
			if diff := cmp.Diff(test.want, cmdtest.Results(w.Doctor(t))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Supabase Auth follows a redirect that keeps method and body.
func TestDoctorOnARedirect(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	hook := w.Start(t).URL
	server := httptest.NewServer(http.RedirectHandler(hook, http.StatusPermanentRedirect))
	defer server.Close()
	w.URL = server.URL + "/hooks/custom-access-token"
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "warning signed call, secret 1")
	if !strings.Contains(found[0].Found, "redirect to "+hook) {
		t.Errorf("%+v", found)
	}
}

func TestDoctorSaysThatTheHookWasNotCalled(t *testing.T) {
	t.Parallel()
	out := new(cmdtest.Deployment).Text(t, "")
	if !strings.Contains(out, "ok       hook: not called; give --url\n") {
		t.Errorf("got %s", out)
	}
}

// A hook that takes two seconds, by doctor's clock.
func TestDoctorOnASlowHook(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	url := w.Start(t).URL
	start, reads := time.Now(), 0
	d := &doctor.Doctor{URL: url, Now: func() time.Time {
		reads++
		return start.Add(time.Duration(reads) * time.Second)
	}}
	d.CheckHook(t.Context(), w.Variables[config.SecretsVariable])
	if d.Count(doctor.Warning) != 1 || d.Count(doctor.Failure) != 0 {
		t.Errorf("%+v", d.Findings)
	}
}
