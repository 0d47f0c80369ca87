package frontend

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestUserLimitsForgetWhoIsQuiet(t *testing.T) {
	t.Parallel()
	var limits UserLimits
	at := time.Now()
	for range 1000 {
		if wait := limits.take(uuid.New(), at); wait > 0 {
			t.Fatal(wait)
		}
	}
	limits.take(uuid.New(), at.Add(time.Minute))
	if len(limits.users) != 1 {
		t.Errorf("%d users are kept", len(limits.users))
	}
}
