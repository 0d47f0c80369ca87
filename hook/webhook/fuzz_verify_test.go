package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"coderhook/hook/authtest"
	"coderhook/hook/webhook"
)

// The verifier against a slow reference that signs by itself. A request passes if and only if one
// of the header's entries is the signature of the very body by one of the secrets, now: whatever
// else stands in the header, and however it was taken from a request that was good once.
func FuzzVerify(f *testing.F) {
	for _, r := range authtest.Recordings(f) {
		h := r.Header()
		f.Add(h.Get("webhook-id"), h.Get("webhook-timestamp"), h.Get("webhook-signature"), "", []byte(r.Request.Body), uint8(0))
		f.Add(h.Get("webhook-id"), h.Get("webhook-timestamp"), h.Get("webhook-signature")+" ", "", []byte(r.Request.Body), uint8(1))
	}
	now := time.Unix(1_795_417_649, 0)
	for _, around := range [][2]string{{"", ""}, {"v1,A, ", ", v1,A=="}, {"v1a,x ", ""}, {"v1,, ", ",junk"}, {"v1,", ""}, {"", "="}, {" ,", ""}, {"v1 ", " v1"}, {"v1,A,", ",v1,B"}} {
		for i := range uint8(5) {
			f.Add("id", strconv.FormatInt(now.Unix(), 10), around[0], around[1], []byte(`{}`), i)
		}
	}
	for _, timestamp := range []string{
		"", "-1", "9223372036854775807", "+1795417649", "01795417649", "1795417649.0", " 1795417649",
		"1795417349", "1795417348", "1795417949", "1795417950", "1795417649000",
	} {
		f.Add("id", timestamp, "", "", []byte(`{}`), uint8(0))
	}
	verifier, err := webhook.NewVerifier(authtest.SecretA+"|"+authtest.SecretB, func() time.Time { return now })
	if err != nil {
		f.Fatal(err)
	}
	known := []string{keyOf(f, authtest.SecretA), keyOf(f, authtest.SecretB)}
	// How the signature in the middle is made; only the first two are good.
	signers := []func(id, timestamp, body string) string{
		func(id, timestamp, body string) string { return slowSignature(known[0], id, timestamp, body) },
		func(id, timestamp, body string) string { return slowSignature(known[1], id, timestamp, body) },
		func(id, timestamp, body string) string {
			return slowSignature(strings.Repeat("k", 32), id, timestamp, body)
		},
		func(id, timestamp, body string) string { return slowSignature(known[0], id, timestamp, body+" ") },
		func(_, _, _ string) string { return slowSignature("", "", "", "") },
	}
	f.Fuzz(func(t *testing.T, id, timestamp, before, after string, body []byte, signer uint8) {
		signature := before + signers[int(signer)%len(signers)](id, timestamp, string(body)) + after
		header := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}
		err := verifier.Verify(body, header)
		may, must := believable(known, id, timestamp, signature, string(body), now)
		switch {
		case err == nil && !may:
			t.Errorf("%q %q %q %q passes for a signature", id, timestamp, signature, body)
		case err != nil && must:
			t.Errorf("%q %q %q %q: %v", id, timestamp, signature, body, err)
		case err != nil && header.Get("Webhook-Signature") != "" && strings.Contains(err.Error(), slowSignature(known[0], id, timestamp, string(body))):
			t.Errorf("the error tells the signature: %v", err)
		}
	})
}

// believable says whether a request may pass, and whether it must. In between lie timestamps that
// nobody sends, as +1 for 1: the signature may be taken as one of the number.
func believable(secrets []string, id, timestamp, signatures, body string, now time.Time) (may, must bool) {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || id == "" || seconds < now.Unix()-300 || seconds > now.Unix()+300 {
		return false, false
	}
	plain := strconv.FormatInt(seconds, 10)
	for _, secret := range secrets {
		may = may || holds(signatures, slowSignature(secret, id, timestamp, body)) || holds(signatures, slowSignature(secret, id, plain, body))
		must = must || plain == timestamp && holds(signatures, slowSignature(secret, id, plain, body))
	}
	return may, must
}

// holds: versions, signatures and pairs of them are separated by commas, blanks and tabs alike.
func holds(signatures, signature string) bool {
	parts := strings.FieldsFunc(signatures, func(r rune) bool { return strings.ContainsRune(", \t", r) })
	for i := range parts {
		if i > 0 && parts[i-1]+","+parts[i] == signature {
			return true
		}
	}
	return false
}

// slowSignature is the header entry of the Standard Webhooks specification.
func slowSignature(secret, id, timestamp, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id + "." + timestamp + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func keyOf(t testing.TB, secret string) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "v1,whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}
