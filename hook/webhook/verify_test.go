package webhook_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"coderhook/hook/authtest"
	"coderhook/hook/webhook"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func TestVerifyAcceptsEitherSecret(t *testing.T) {
	t.Parallel()
	now := time.Now()
	body := []byte(`{"a":1}`)
	for _, signers := range []string{authtest.SecretA, authtest.SecretB, authtest.SecretA + "|" + authtest.SecretB, authtest.SecretB + "|" + authtest.SecretA} {
		for _, secrets := range []string{authtest.SecretA + "|" + authtest.SecretB, authtest.SecretB + " | " + authtest.SecretA} {
			v, err := webhook.NewVerifier(secrets, func() time.Time { return now })
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Verify(body, authtest.Sign(t, signers, "id", now, body)); err != nil {
				t.Errorf("signed with %s: %v", signers, err)
			}
		}
	}
	// Whoever still, or already, knows only one of the two must accept as well.
	both := authtest.Sign(t, authtest.SecretA+"|"+authtest.SecretB, "id", now, body)
	for _, secret := range []string{authtest.SecretA, authtest.SecretB} {
		v, err := webhook.NewVerifier(secret, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Verify(body, both); err != nil {
			t.Errorf("only %s known: %v", secret, err)
		}
	}
}

// A proxy puts several signatures on lines of their own, or joins them with no more than a comma.
func TestVerifyReadsAllSignatures(t *testing.T) {
	t.Parallel()
	now := time.Now()
	body := []byte(`{"a":1}`)
	v, err := webhook.NewVerifier(authtest.SecretA, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	header := authtest.Sign(t, authtest.SecretA, "id", now, body)
	good := header.Get("Webhook-Signature")
	other := authtest.Sign(t, authtest.SecretB, "id", now, body).Get("Webhook-Signature")
	for _, lines := range [][]string{
		{other, good},
		{good, other},
		{other, "v1a,x", good},
		{"", good},
		{other + "," + good},
		{good + "," + other},
		{other + ", " + good},
		{other + " " + good},
		{other + "\t" + good},
		{other + ",v1a,x," + good},
		{other + "," + other, other + "," + good},
	} {
		header["Webhook-Signature"] = lines
		if err := v.Verify(body, header); err != nil {
			t.Errorf("%q: %v", lines, err)
		}
	}
	_, bare, _ := strings.Cut(good, ",")
	for _, lines := range [][]string{{other, other}, {bare}, {"v1a," + bare}, {"v1", "v2," + bare}, {other + "," + bare}} {
		header["Webhook-Signature"] = lines
		if err := v.Verify(body, header); !errors.Is(err, standardwebhooks.ErrNoMatchingSignature) {
			t.Errorf("%q: %v", lines, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_795_417_649, 0)
	body := []byte(`{"a":1}`)
	v, err := webhook.NewVerifier(authtest.SecretA, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	set := func(name, value string) http.Header {
		h := authtest.Sign(t, authtest.SecretA, "id", now, body)
		h.Set(name, value)
		return h
	}
	for name, test := range map[string]struct {
		header http.Header
		body   string
		want   error
	}{
		"other secret":      {authtest.Sign(t, authtest.SecretB, "id", now, body), `{"a":1}`, standardwebhooks.ErrNoMatchingSignature},
		"other body":        {authtest.Sign(t, authtest.SecretA, "id", now, body), `{"a":2}`, standardwebhooks.ErrNoMatchingSignature},
		"other id":          {set("Webhook-Id", "other"), `{"a":1}`, standardwebhooks.ErrNoMatchingSignature},
		"other time":        {set("Webhook-Timestamp", "1795417650"), `{"a":1}`, standardwebhooks.ErrNoMatchingSignature},
		"no id":             {set("Webhook-Id", ""), `{"a":1}`, standardwebhooks.ErrRequiredHeaders},
		"no time":           {set("Webhook-Timestamp", ""), `{"a":1}`, standardwebhooks.ErrRequiredHeaders},
		"no signature":      {set("Webhook-Signature", ""), `{"a":1}`, standardwebhooks.ErrRequiredHeaders},
		"garbage signature": {set("Webhook-Signature", "v1,%%% v1 ,,"), `{"a":1}`, standardwebhooks.ErrNoMatchingSignature},
		"garbage time":      {set("Webhook-Timestamp", "soon"), `{"a":1}`, standardwebhooks.ErrInvalidHeaders},
		"no headers":        {http.Header{}, `{"a":1}`, standardwebhooks.ErrRequiredHeaders},
		"stale":             {authtest.Sign(t, authtest.SecretA, "id", now.Add(-webhook.Tolerance-time.Second), body), `{"a":1}`, standardwebhooks.ErrMessageTooOld},
		"future":            {authtest.Sign(t, authtest.SecretA, "id", now.Add(webhook.Tolerance+time.Second), body), `{"a":1}`, standardwebhooks.ErrMessageTooNew},
		"long ago":          {authtest.Sign(t, authtest.SecretA, "id", time.Unix(0, 0), body), `{"a":1}`, standardwebhooks.ErrMessageTooOld},
		"far future":        {authtest.Sign(t, authtest.SecretA, "id", time.Unix(1<<55, 0), body), `{"a":1}`, standardwebhooks.ErrMessageTooNew},
	} {
		if err := v.Verify([]byte(test.body), test.header); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	for _, at := range []time.Time{now.Add(-webhook.Tolerance), now.Add(webhook.Tolerance)} {
		if err := v.Verify(body, authtest.Sign(t, authtest.SecretA, "id", at, body)); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestNewVerifierRefusesBadSecrets(t *testing.T) {
	t.Parallel()
	key := func(n int, b byte) string {
		return "v1,whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(b)), n)))
	}
	for name, test := range map[string]struct{ secret, want string }{
		"empty":       {"", "must look like"},
		"no prefix":   {"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "must look like"},
		"no version":  {"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "must look like"},
		"empty key":   {"v1,whsec_", "too weak"},
		"short":       {key(23, 'x'), "too weak"},
		"zeros":       {key(32, 0), "too weak"},
		"no base64":   {"v1,whsec_%%%%", "not base64"},
		"url base64":  {"v1,whsec_" + strings.Repeat("-_", 16), "not base64"},
		"asymmetric":  {"v1a,whpk_MDEyMzQ1", "asymmetric"},
		"one of them": {authtest.SecretA + "|v1,whsec_", "secret 2"},
		"trailing":    {authtest.SecretA + "|", "secret 2"},
	} {
		_, err := webhook.NewVerifier(test.secret, time.Now)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	if _, err := webhook.NewVerifier(key(24, 'x'), time.Now); err != nil {
		t.Errorf("24 bytes: %v", err)
	}
}
