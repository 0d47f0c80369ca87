package doctor_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/doctor"
	"coderhook/coderclient/codertest"
)

func TestDoctorOnCodersFaults(t *testing.T) {
	t.Parallel()
	const appHost = "*.apps.localhost"
	for name, test := range map[string]struct {
		profile         codertest.Profile
		variable, value string // set before, to be changed by the cure
		appHost         string
		fault           codertest.Fault
		want, cure      string
	}{
		"login type none":     {profile: codertest.ProfileNew, appHost: appHost, variable: "CODER_LOGIN_TYPE", value: "none", want: "failure Coder", cure: "set CODER_LOGIN_TYPE=auto"},
		"no application host": {profile: codertest.ProfileV231, want: "warning application host", cure: "CODER_WILDCARD_ACCESS_URL"},
		"workspace proxy": {
			profile: codertest.ProfileNew, appHost: appHost, want: "failure Coder", cure: "set CODER_URL=https://coder.example.com",
			fault: codertest.Fault{Path: "/buildinfo", Status: 200, Body: `{"version":"v2.36.0","workspace_proxy":true,"dashboard_url":"https://coder.example.com"}`},
		},
		"not Coder":   {profile: codertest.ProfileNew, appHost: appHost, fault: codertest.Fault{Status: 200, Body: `{"version":"1"}`, Proxy: true}, want: "failure Coder", cure: "access URL"},
		"no database": {profile: codertest.ProfileV231, appHost: appHost, fault: codertest.Fault{Path: "/users/me", Status: 500, Body: `{"message":"An internal error occurred."}`}, want: "failure owner's token", cure: ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cmdtest.NewDeployment(t, codertest.Start(test.profile))
			w.Coder.Configure(func(s *codertest.Settings) { s.AppHost = test.appHost })
			if test.variable != "" {
				w.Variables[test.variable] = test.value
			}
			remove := func() {}
			if test.fault.Status != 0 {
				remove = w.Coder.Fail(test.fault)
			}
			found := w.Doctor(t)
			cmdtest.WantResults(t, found, test.want)
			if !strings.Contains(found[0].Cure, test.cure) {
				t.Errorf("cure %q, want %q", found[0].Cure, test.cure)
			}
			remove()
			w.Coder.Configure(func(s *codertest.Settings) { s.AppHost = appHost })
			if test.variable != "" {
				w.Follow(t, found)
			}
			cmdtest.WantResults(t, w.Doctor(t))
		})
	}
}

func TestDoctorOnTheOwnersToken(t *testing.T) {
	t.Parallel()
	coder := codertest.Start(codertest.ProfileNew)
	w := cmdtest.NewDeployment(t, coder)
	coder.AddUser("admin", "admin@example.test", "password", "user-admin")
	coder.AddUser("gone", "gone@example.test", "password", "owner")
	coder.SuspendUser("gone")
	expired := coder.AddToken("owner", "old", time.Hour)
	coder.AgeKey(expired.ID, 2*time.Hour)
	for name, test := range map[string]struct{ token, want, found, cure string }{
		"not an owner's": {coder.AddToken("admin", "t", 24*time.Hour).Whole, "failure owner's token", "admin is not an owner", "role Owner"},
		"suspended":      {coder.AddToken("gone", "t", 24*time.Hour).Whole, "failure owner's token", "not active", "coder tokens create"},
		"expired":        {expired.Whole, "failure owner's token", "expired", "coder tokens create"},
		"soon to expire": {coder.AddToken("owner", "short", 47*time.Hour).Whole, "warning owner's token", "ends in 47h", "coder tokens create"},
	} {
		w.Variables["CODER_OWNER_TOKEN"] = test.token
		found := w.Doctor(t)
		cmdtest.WantResults(t, found, test.want)
		if !strings.Contains(found[0].Found, test.found) || !strings.Contains(found[0].Cure, test.cure) {
			t.Errorf("%s: got %+v", name, found[0])
		}
	}
	w.Variables["CODER_OWNER_TOKEN"] = coder.AddToken("owner", "new", 168*time.Hour).Whole
	cmdtest.WantResults(t, w.Doctor(t))
}

// Coder's clock alone is wrong, then ours.
func TestDoctorOnClocks(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew, codertest.Clock(func() time.Time { return time.Now().Add(-time.Minute) })))
	cmdtest.WantResults(t, w.Doctor(t), "warning clock of Coder")

	w = cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	d := &doctor.Doctor{Getenv: w.Getenv, Now: func() time.Time { return time.Now().Add(5 * time.Minute) }}
	d.Examine(t.Context())
	if d.Count(doctor.Failure) != 2 || d.Count(doctor.Warning) != 0 {
		t.Errorf("%+v", d.Findings)
	}
	for _, f := range d.Findings {
		if strings.HasPrefix(f.Check, "clock of") != (f.Result == doctor.Failure) {
			t.Errorf("%+v", f)
		}
	}
}

// Keys of the owner's that are no tokens for this: of a browser, and of an app.
func TestDoctorOnOtherKeysOfTheOwner(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
	for path, test := range map[string]struct{ body, want, found string }{
		"/users/login":          {`{"email":"owner@example.test","password":"SomeSecurePassword!1"}`, "warning owner's token", "browser's session"},
		"/users/me/keys/tokens": {`{"token_name":"app","scope":"application_connect"}`, "failure owner's token", "scope is too narrow"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Coder.URL+"/api/v2"+path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Coder-Session-Token", w.Coder.OwnerToken)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var made map[string]string
		if err := json.NewDecoder(response.Body).Decode(&made); err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		w.Variables["CODER_OWNER_TOKEN"] = made["session_token"] + made["key"]
		found := w.Doctor(t)
		cmdtest.WantResults(t, found, test.want)
		if !strings.Contains(found[0].Found, test.found) {
			t.Errorf("%s: %+v", path, found)
		}
	}
}

func TestDoctorOnTheLongestToken(t *testing.T) {
	t.Parallel()
	coder := codertest.Start(codertest.ProfileNew)
	w := cmdtest.NewDeployment(t, coder)
	w.Variables["LEDGER_SECRET"] = ""
	ada := coder.AddUser("ada", "ada@example.com", "password")
	w.DB.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id) values (gen_random_uuid(), $1)`, ada.ID)
	found := w.Doctor(t)
	const unsealed = "warning seals of the ledger" // the account was not made by a server
	cmdtest.WantResults(t, found, unsealed, "warning longest token")
	if !strings.Contains(found[1].Found, "36525 days") || !strings.Contains(found[1].Cure, "CODER_MAX_TOKEN_LIFETIME") {
		t.Errorf("%+v", found)
	}
	coder.Configure(func(s *codertest.Settings) { s.MaxTokenLifetime = 30 * 24 * time.Hour })
	cmdtest.WantResults(t, w.Doctor(t), unsealed)
}
