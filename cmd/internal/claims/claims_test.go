package claims_test

import (
	"testing"

	"coderhook/cmd/internal/claims"
)

func TestMask(t *testing.T) {
	t.Parallel()
	const text = `{"a":"AbCdEfGhIj-0123456789012345678901","b":"AbCdEfGhIj-012345678901234567890"}`
	const want = `{"a":"AbCdEfGhIj-**********","b":"AbCdEfGhIj-012345678901234567890"}`
	if got := claims.Mask([]byte(text)); string(got) != want {
		t.Errorf("got %s", got)
	}
}

func TestIn(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{`{"claims":{"a": 1}}`: `{"a": 1}`, `{}`: "", `x`: "", ``: ""} {
		if got, ok := claims.In([]byte(body)); string(got) != want || ok != (want != "") {
			t.Errorf("%s: got %s, %v", body, got, ok)
		}
	}
}
