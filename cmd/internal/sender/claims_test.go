package sender_test

import (
	"testing"

	"coderhook/cmd/internal/sender"
)

func TestMask(t *testing.T) {
	t.Parallel()
	const text = `{"a":"AbCdEfGhIj-0123456789012345678901","b":"AbCdEfGhIj-012345678901234567890"}`
	const want = `{"a":"AbCdEfGhIj-**********","b":"AbCdEfGhIj-012345678901234567890"}`
	if got := sender.Mask([]byte(text)); string(got) != want {
		t.Errorf("got %s", got)
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{`{"claims":{"a": 1}}`: `{"a": 1}`, `{}`: "", `x`: "", ``: ""} {
		if got, ok := sender.Claims([]byte(body)); string(got) != want || ok != (want != "") {
			t.Errorf("%s: got %s, %v", body, got, ok)
		}
	}
}
