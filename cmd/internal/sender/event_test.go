package sender_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"coderhook/cmd/internal/sender"

	"github.com/google/uuid"
)

// The recorded method stays, unless another one is asked for.
func TestReplayReplacesTheMethod(t *testing.T) {
	t.Parallel()
	recorded, err := os.ReadFile("../../../testdata/hook/02-password.json")
	if err != nil {
		t.Fatal(err)
	}
	user := uuid.New()
	for method, want := range map[string]string{"": "password", "otp": "otp"} {
		body, err := sender.Mint{User: user, Email: "ada@example.com", Method: method, Now: time.Now()}.Replay(recorded)
		var event struct {
			UserID uuid.UUID `json:"user_id"`
			Method string    `json:"authentication_method"`
		}
		if json.Unmarshal(body, &event) != nil || err != nil || event.Method != want || event.UserID != user {
			t.Errorf("%q: %+v, %v", method, event, err)
		}
	}
}
