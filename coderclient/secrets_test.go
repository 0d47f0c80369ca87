package coderclient_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"coderhook/coderclient"
)

const userKey = "UserUser12-0123456789abcdefghijKL"

// everyCall makes each call of the client once, most of them in vain.
func everyCall(t *testing.T, c *coderclient.Client) []error {
	ctx := t.Context()
	var errs []error
	add := func(_ any, err error) { errs = append(errs, err) }
	add(c.CreateUser(ctx, coderclient.NewUser{Username: "alice", Email: "alice@example.test"}))
	add(c.User(ctx, "alice"))
	add(c.User(ctx, userKey))
	add(c.Me(ctx, userKey))
	add(c.Suspend(ctx, someID))
	add(c.Activate(ctx, someID))
	add(nil, c.DeleteUser(ctx, someID))
	add(c.CreateToken(ctx, someID, coderclient.NewToken{Name: "t"}))
	add(c.Tokens(ctx, someID))
	add(c.MaxTokenLifetime(ctx, someID))
	add(c.Key(ctx, someID, "UserUser12"))
	add(c.Key(ctx, someID, userKey))
	add(nil, c.DeleteKey(ctx, someID, "UserUser12"))
	add(c.DefaultOrganization(ctx))
	add(c.Organization(ctx, "coder"))
	add(c.ApplicationHost(ctx))
	add(c.AuthRedirect(ctx, userKey, "http://a.apps.localhost/?q=querySecret"))
	add(c.BuildInfo(ctx))
	add(nil, c.Probe(ctx))
	return errs
}

// TestNoSecretsInErrors: against servers that echo all they get, in every shape.
func TestNoSecretsInErrors(t *testing.T) {
	t.Parallel()
	const oddKey = "key of no known shape"
	secrets := []string{userKey[11:], "querySecret", oddToken, oddKey}
	check := func(t *testing.T, errs []error, password string) {
		t.Helper()
		for _, err := range errs {
			for _, secret := range append(secrets, password) {
				if secret != "" && strings.Contains(spelledOut(err), secret) {
					t.Errorf("holds %q: %s", secret, spelledOut(err))
				}
			}
		}
	}
	for _, status := range []int{200, 201, 302, 303, 400, 401, 404, 409, 429, 500} {
		var password string
		s, _ := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			echo, sent := echoed(r)
			if sent != "" {
				password = sent
			}
			w.Header().Set("Location", "http://%zz/?coder_application_connect_api_key_1="+userKey+"&q=querySecret")
			body, _ := json.Marshal(map[string]any{
				"message": echo, "detail": echo, "validations": []any{map[string]string{"field": "password", "detail": echo}},
			})
			answerAs(w, status, string(body))
		})
		c := newClient(t, s.URL, func(cfg *coderclient.Config) {
			cfg.LoginType, cfg.Breaker.Failures = "password", 1000
			cfg.Token = func() string { return oddToken }
		})
		_, err := c.Me(t.Context(), oddKey)
		errs := append(everyCall(t, c), err)
		if password == "" {
			t.Fatal("no password was sent")
		}
		check(t, errs, password)
		s.Close()
		check(t, everyCall(t, c), "")
	}
}

// spelledOut is all that a careless caller could log.
func spelledOut(err error) string {
	text := fmt.Sprintf("%v %+v", err, err)
	if e, ok := errors.AsType[*coderclient.Error](err); ok {
		text += fmt.Sprintf(" %+v %#v %v", *e, *e, e.Err)
	}
	return text
}

func echoed(r *http.Request) (echo, password string) {
	body, _ := io.ReadAll(r.Body)
	var sent struct{ Password string }
	_ = json.Unmarshal(body, &sent)
	return fmt.Sprintf("%s %s %v %s", r.Method, r.URL, r.Header, body), sent.Password
}
