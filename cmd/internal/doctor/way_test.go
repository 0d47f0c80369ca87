package doctor_test

import (
	"maps"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
)

// All that can stand before Coder is gone through and shown, but for what is secret in it.
func TestDoctorOnTheWayToCoder(t *testing.T) {
	t.Parallel()
	coder := codertest.Start(codertest.ProfileNew)
	w := cmdtest.NewDeployment(t, coder)
	maps.Copy(w.Variables, cmdtest.NewFront(t, coder).Variables())
	text := w.Text(t, "")
	for _, want := range []string{
		"through the proxy http://me:xxxxx@127.0.0.1:", "by HTTPS_PROXY", "with the headers Cf-Access-Client-Id, Cf-Access-Client-Secret",
		"trusting CODER_CA_FILE as well, with a client certificate", "ok       client certificate: until ", "ok       owner's token: of owner",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, cmdtest.AccessSecret) || strings.Contains(text, "hunter2") {
		t.Errorf("shows a secret:\n%s", text)
	}
	cmdtest.WantResults(t, w.Doctor(t))

	w.Variables["CODER_HEADERS"] = "CF-Access-Client-Secret: wrong"
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure Coder")
	if !strings.Contains(found[0].Found, "CODER_URL is behind a proxy that wants a login: it redirects to team.cloudflareaccess.com") || !strings.Contains(found[0].Cure, "set CODER_HEADERS to") {
		t.Errorf("%+v", found)
	}

	w.Variables["CODER_HEADERS"] = "nonsense"
	cmdtest.WantResults(t, w.Doctor(t), "failure variable CODER_HEADERS")
}

func TestDoctorOnAProxyThatIsPassedBy(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	w.Variables["HTTP_PROXY"] = "http://forward.example.com:3128"
	if text := w.Text(t, ""); !strings.Contains(text, "way to Coder: past HTTP_PROXY, by NO_PROXY or as it is on this machine") {
		t.Error(text)
	}
}
