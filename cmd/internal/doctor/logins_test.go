package doctor_test

import (
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
)

func TestDoctorLooksAtLogins(t *testing.T) {
	t.Parallel()
	const found = "logins to Coder"
	for name, c := range map[string]struct {
		profile codertest.Profile
		login   string
		set     func(*codertest.Settings)
		fault   codertest.Fault
		want    string // "" for nothing
		cure    string
	}{
		"none":                    {codertest.ProfileV231, "auto", func(s *codertest.Settings) { s.Smarthost = "smtp:25" }, codertest.Fault{}, "", ""},
		"a password, and no mail": {codertest.ProfileNew, "auto", func(*codertest.Settings) {}, codertest.Fault{}, "", ""},
		"a password, and mail":    {codertest.ProfileNew, "auto", func(s *codertest.Settings) { s.Smarthost = "smtp:25" }, codertest.Fault{}, "failure", "CODER_DISABLE_PASSWORD_AUTH=true"},
		"on purpose, and mail":    {codertest.ProfileV231, "password", func(s *codertest.Settings) { s.Smarthost = "smtp:25" }, codertest.Fault{}, "failure", "CODER_DISABLE_PASSWORD_AUTH=true"},
		"mail is not known":       {codertest.ProfileNew, "auto", func(*codertest.Settings) {}, codertest.Fault{Path: "/deployment/config", Status: 500, Body: `{"message":"An internal error occurred."}`}, "warning", "CODER_DISABLE_PASSWORD_AUTH=true"},
		"passwords are off":       {codertest.ProfileNew, "auto", func(s *codertest.Settings) { s.DisablePasswordAuth = true }, codertest.Fault{}, "failure", "CODER_LOGIN_TYPE=oidc"},
		"no answer":               {codertest.ProfileNew, "auto", func(*codertest.Settings) {}, codertest.Fault{Path: "/users/authmethods", Status: 500, Body: `{"message":"x"}`}, "warning", "log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cmdtest.NewDeployment(t, codertest.Start(c.profile, codertest.With(c.set)))
			w.Variables["CODER_LOGIN_TYPE"] = c.login
			if c.fault.Status != 0 {
				w.Coder.Fail(c.fault)
			}
			got, cure := "", ""
			for _, f := range w.Doctor(t) {
				if f.Check == found {
					got, cure = string(f.Result), f.Cure
				}
			}
			if got != c.want || !strings.Contains(cure, c.cure) {
				t.Errorf("got %q, %q", got, cure)
			}
		})
	}
}
