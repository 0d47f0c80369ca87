package cmdtest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/doctor"
	"coderhook/cmd/internal/sender"
	"coderhook/coderclient/codertest"
	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/go-cmp/cmp"
)

// Deployment is one that the doctor looks at.
type Deployment struct {
	DB        *storetest.DB
	Coder     *codertest.Server
	Variables map[string]string
	URL       string // of the running hook, "" for none
	Gateway   string // of the running gateway, likewise
}

// RandomSecret returns a secret as Supabase Auth makes them.
func RandomSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return "v1,whsec_" + base64.StdEncoding.EncodeToString(key)
}

// NewDeployment returns one in which all is well.
func NewDeployment(t *testing.T, coder *codertest.Server) *Deployment {
	t.Helper()
	t.Cleanup(coder.Close)
	coder.AddToken("owner", "long", 6*24*time.Hour)
	db := storetest.New(t)
	return &Deployment{DB: db, Coder: coder, Variables: map[string]string{
		"DATABASE_URL": db.RoleURL("coderhook"), config.SecretsVariable: RandomSecret(),
		"CODER_URL": coder.URL, "CODER_OWNER_TOKEN": coder.OwnerToken, "LEDGER_SECRET": RandomSecret(),
	}}
}

// Doctor returns what is not ok.
func (w *Deployment) Doctor(t *testing.T) []doctor.Finding {
	t.Helper()
	out := w.examine(t, "", true)
	var report struct {
		Failures, Warnings int
		Checks             []doctor.Finding
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v, in %s", err, out)
	}
	for _, name := range []string{config.SecretsVariable, "CODER_OWNER_TOKEN"} {
		if secret := w.Variables[name]; len(secret) > 20 && strings.Contains(out, secret[12:]) {
			t.Errorf("%s is printed", name)
		}
	}
	return slices.DeleteFunc(report.Checks, func(f doctor.Finding) bool { return f.Result == doctor.OK })
}

// Text returns what a person reads. The file has a token to judge; "" is for none.
func (w *Deployment) Text(t *testing.T, tokenFile string) string {
	t.Helper()
	return w.examine(t, tokenFile, false)
}

func (w *Deployment) examine(t *testing.T, tokenFile string, asJSON bool) string {
	t.Helper()
	d := &doctor.Doctor{Getenv: w.Getenv, Now: time.Now, URL: w.URL, Gateway: w.Gateway, TokenFile: tokenFile}
	d.Examine(t.Context())
	var out strings.Builder
	if err := d.Print(&out, asJSON); err != nil {
		t.Fatal(err)
	}
	if string(sender.Mask([]byte(out.String()))) != out.String() {
		t.Error("the doctor shows a whole key")
	}
	return out.String()
}

// Getenv returns a variable of the deployment.
func (w *Deployment) Getenv(name string) string { return w.Variables[name] }

// Start starts its server, with the same secrets.
func (w *Deployment) Start(t *testing.T, extra ...string) *Server {
	t.Helper()
	return Start(t, w.DB, w.Coder, append([]string{config.SecretsVariable + "=" + w.Variables[config.SecretsVariable]}, extra...)...)
}

// Results returns findings as tests expect them: "failure CHECK".
func Results(findings []doctor.Finding) (all []string) {
	for _, f := range findings {
		all = append(all, string(f.Result)+" "+f.Check)
	}
	return all
}

// Follow does what the cures say.
func (w *Deployment) Follow(t *testing.T, findings []doctor.Finding) {
	t.Helper()
	for _, f := range findings {
		if f.SQL != "" {
			if err := storetest.RunScript(t.Context(), w.DB.RoleURL(pgserver.ProductAdmin), f.SQL); err != nil {
				t.Errorf("%v, in the cure of %q:\n%s", err, f.Found, f.SQL)
			}
		}
		if strings.Contains(f.Cure, "coderhook migrate") {
			if _, err := store.Migrate(t.Context(), store.Config{URL: w.DB.RoleURL(pgserver.ProductAdmin)}); err != nil {
				t.Errorf("%v, in the cure of %q", err, f.Found)
			}
		}
		if _, setting, ok := strings.Cut(f.Cure, "set "); ok {
			if name, value, ok := strings.Cut(setting, "="); ok && strings.ToUpper(name) == name {
				w.Variables[name], _, _ = strings.Cut(value, " ")
			}
		}
	}
}

// WantResults holds findings to what a test expects, and to having a cure.
func WantResults(t *testing.T, findings []doctor.Finding, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, Results(findings)); diff != "" {
		t.Errorf("%s\nfound: %+v", diff, findings)
	}
	for _, f := range findings {
		if f.Cure == "" {
			t.Errorf("no cure of %q", f.Found)
		}
	}
}
