package doctor_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
)

func TestDoctorAsksWhetherAddressesAreConfirmed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ login, settings, want string }{
		"no single sign-on":    {"auto", `{"mailer_autoconfirm":true}`, ""},
		"confirmed":            {"oidc", `{"mailer_autoconfirm":false}`, ""},
		"not confirmed":        {"oidc", `{"mailer_autoconfirm":true}`, "failure"},
		"not confirmed either": {"github", `{"mailer_autoconfirm":true}`, "failure"},
		"not said":             {"oidc", `{}`, "warning"},
		"no JSON":              {"oidc", `<html>`, "warning"},
		"wants a key":          {"oidc", "401", "warning"},
		"no address":           {"oidc", "", "warning"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			supabase := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/auth/v1/.well-known/jwks.json":
					_, _ = w.Write([]byte(`{"keys":[{"alg":"ES256"}]}`))
				case c.settings == "401" || r.URL.Path != "/auth/v1/settings":
					w.WriteHeader(http.StatusUnauthorized)
				default:
					_, _ = w.Write([]byte(c.settings))
				}
			}))
			t.Cleanup(supabase.Close)
			w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew, codertest.With(func(s *codertest.Settings) { s.OIDC = true })))
			w.Variables["CODER_LOGIN_TYPE"] = c.login
			if c.settings != "" {
				w.Variables["SUPABASE_URL"] = supabase.URL
			}
			got := ""
			for _, f := range w.Doctor(t) {
				if f.Check == "confirmed addresses" {
					if got = string(f.Result); !strings.Contains(f.Cure, "Confirm email") {
						t.Errorf("cure: %s", f.Cure)
					}
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
