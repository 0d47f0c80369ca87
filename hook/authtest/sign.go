package authtest

import (
	"net/http"
	"testing"
	"time"

	"coderhook/hook/webhook"
)

// Secrets of the hook, as Supabase Auth has them.
const (
	SecretA = "v1,whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	SecretB = "v1,whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY="
)

// Sign makes the headers that Supabase Auth sends.
func Sign(t testing.TB, secrets, id string, at time.Time, body []byte) http.Header {
	t.Helper()
	header, err := webhook.Sign(secrets, id, at, body)
	if err != nil {
		t.Fatal(err)
	}
	return header
}
