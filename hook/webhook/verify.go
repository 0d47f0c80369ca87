package webhook

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Tolerance is how far a request's timestamp may be from our clock, either way:
// the Standard Webhooks libraries' own five minutes.
const Tolerance = 5 * time.Minute

// timestampHeader is the library's, as net/http spells it: any other spelling is brought into this one each time.
var timestampHeader = http.CanonicalHeaderKey(standardwebhooks.HeaderWebhookTimestamp)

// minSecretBytes is what Supabase Auth itself demands (32 characters of base64).
// The webhook library takes an empty key, with which anybody can sign.
const minSecretBytes = 24

// Verifier tells requests that were signed with one of its secrets from all others.
type Verifier struct {
	webhooks []*standardwebhooks.Webhook
	now      func() time.Time
}

// NewVerifier reads hook secrets as Supabase shows them: "v1,whsec_<base64>", several
// separated by "|" so that a secret can be rotated without a failed sign-in.
// The error joins the faults, one for each bad secret, and never holds a secret.
func NewVerifier(secrets string, now func() time.Time) (*Verifier, error) {
	v := &Verifier{now: now}
	var faults []error
	for i, secret := range strings.Split(secrets, "|") {
		webhook, err := parseSecret(strings.TrimSpace(secret))
		if err != nil {
			faults = append(faults, fmt.Errorf("secret %d: %w", i+1, err))
			continue
		}
		v.webhooks = append(v.webhooks, webhook)
	}
	return v, errors.Join(faults...)
}

// ErrEmptySecret says that nothing stands beside a "|".
var ErrEmptySecret = errors.New("is empty, and must look like v1,whsec_<base64>")

func parseSecret(secret string) (*standardwebhooks.Webhook, error) {
	if secret == "" {
		return nil, ErrEmptySecret
	}
	if strings.HasPrefix(secret, "v1a,") {
		return nil, errors.New("v1a is an asymmetric secret, with which Supabase Auth cannot sign")
	}
	encoded, ok := strings.CutPrefix(secret, "v1,whsec_")
	if !ok {
		return nil, errors.New("must look like v1,whsec_<base64>, as the Supabase dashboard shows it")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("what follows v1,whsec_ is not base64 (standard alphabet, padded)")
	}
	if len(key) < minSecretBytes || len(bytes.Trim(key, "\x00")) == 0 {
		return nil, fmt.Errorf("is too weak: it has %d bytes, at least %d random ones are needed",
			len(key), minSecretBytes)
	}
	return standardwebhooks.NewWebhookRaw(key)
}

// Verify reports why a request with this body and header is not to be believed, or nil.
// It looks at the raw bytes: nothing is decoded before the signature is known to be good.
func (v *Verifier) Verify(body []byte, header http.Header) error {
	if err := v.signed(body, header); err != nil {
		return err
	}
	// After the signature, so that only senders that know a secret learn about our clock.
	seconds, err := strconv.ParseInt(header.Get(timestampHeader), 10, 64)
	if err != nil {
		return standardwebhooks.ErrInvalidHeaders
	}
	now := v.now().Unix()
	switch limit := int64(Tolerance / time.Second); {
	case seconds < now-limit:
		return standardwebhooks.ErrMessageTooOld
	case seconds > now+limit:
		return standardwebhooks.ErrMessageTooNew
	}
	return nil
}

func (v *Verifier) signed(body []byte, header http.Header) error {
	err := standardwebhooks.ErrNoMatchingSignature
	header = withSignatures(header)
	for _, webhook := range v.webhooks {
		if err = webhook.VerifyIgnoringTimestamp(body, header); err == nil {
			return nil
		}
	}
	return err
}

// withSignatures returns the headers that count, with all signatures in one value, between spaces, as the library reads
// them. Supabase Auth writes ", " between them; a proxy may put each on a line of its own, or join lines with a comma alone.
func withSignatures(header http.Header) http.Header {
	if lines := header["Webhook-Signature"]; len(lines) == 1 && strings.Count(lines[0], ",") == 1 && !strings.ContainsAny(lines[0], " \t") {
		return header // one signature, as with one secret: there is nothing to rewrite
	}
	one := make(http.Header, 3)
	for _, name := range []string{standardwebhooks.HeaderWebhookID, standardwebhooks.HeaderWebhookTimestamp, standardwebhooks.HeaderWebhookSignature} {
		one.Set(name, header.Get(name))
	}
	var signatures []string
	parts := strings.FieldsFunc(strings.Join(header.Values(standardwebhooks.HeaderWebhookSignature), ","),
		func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	for i := 1; i < len(parts); i++ { // a comma also stands between a version and its signature
		if parts[i-1] == "v1" {
			signatures = append(signatures, "v1,"+parts[i])
		}
	}
	if len(signatures) > 0 {
		one.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	}
	return one
}
