package webhook

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Sign returns the headers that Supabase Auth sends with an event: one signature for each of the
// secrets, which are written as for NewVerifier, joined with ", " (supabase/auth,
// internal/hooks/hookshttp). The id is new for each attempt there.
func Sign(secrets, id string, now time.Time, body []byte) (http.Header, error) {
	var signatures []string
	for i, secret := range strings.Split(secrets, "|") {
		webhook, err := parseSecret(strings.TrimSpace(secret))
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
		signature, err := webhook.Sign(id, now, body)
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
		signatures = append(signatures, signature)
	}
	header := make(http.Header)
	header.Set("Content-Type", "application/json")
	header.Set(standardwebhooks.HeaderWebhookID, id)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, ", "))
	return header, nil
}
