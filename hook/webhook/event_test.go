package webhook_test

import (
	"testing"

	"coderhook/hook/webhook"

	"github.com/google/uuid"
)

// What parsing finds out can't be written into the body.
func TestEventIsOfItsUserOnly(t *testing.T) {
	t.Parallel()
	const user = "3f2b8c1e-7d4a-4e0b-9a55-0c1d2e3f4a5b"
	ev, err := webhook.Parse([]byte(`{"user_id":"` + user + `","claims":{"sub":"` + user + `","exp":1},
		"User":"00000000-0000-4000-8000-000000000001","user":"x","Deciding":{"email":"forged@example.com"},"deciding":{"role":"admin"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if ev.User != uuid.MustParse(user) || ev.Deciding.Email != "" || ev.Deciding.Role != "" {
		t.Errorf("got %s, %+v", ev.User, ev.Deciding)
	}
}
