package webhook_test

import (
	"encoding/json"
	"testing"

	"coderhook/hook/authtest"
	"coderhook/hook/claims"
	"coderhook/hook/webhook"
)

// No body makes the parser panic, and what it accepts can be spliced.
func FuzzParseEvent(f *testing.F) {
	for _, r := range authtest.Recordings(f) {
		f.Add([]byte(r.Request.Body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ev, err := webhook.Parse(body)
		if err != nil {
			return
		}
		if answer := ev.With(claims.KeyMember, "K"); json.Valid(body) && !json.Valid(answer) {
			t.Fatalf("%s gives %s", body, answer)
		}
	})
}
