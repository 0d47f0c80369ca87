package coderclient_test

import (
	"net/http"
	"testing"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

func TestAuthMethodsOnEveryProfile(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		if m, err := c.AuthMethods(t.Context()); err != nil || !bool(m.Password) {
			t.Errorf("%+v, %v", m, err)
		}
		s.Configure(func(set *codertest.Settings) { set.DisablePasswordAuth, set.OIDC = true, true })
		if m, err := c.AuthMethods(t.Context()); err != nil || bool(m.Password) || !bool(m.OIDC) {
			t.Errorf("%+v, %v", m, err)
		}
	})
}

func TestAuthMethodsOfTheOldest(t *testing.T) {
	t.Parallel()
	s, _ := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		answerAs(w, 200, `{"password":true,"github":false,"oidc":{"enabled":true,"signInText":""}}`)
	})
	if m, err := newClient(t, s.URL, nil).AuthMethods(t.Context()); err != nil || !bool(m.Password) || bool(m.GitHub) || !bool(m.OIDC) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestSmarthost(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	for _, want := range []string{"", "smtp.example.com:587"} {
		s.Configure(func(set *codertest.Settings) { set.Smarthost = want })
		if got, err := clientOf(t, s, nil).Smarthost(t.Context()); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}
