package serve

import (
	"testing"

	"coderhook/cmd/internal/config"
)

// What the gateway may open leaves sign-ins some files, however few there are.
func TestGatewayShare(t *testing.T) {
	t.Parallel()
	for descriptors, want := range map[int]int{400: 100, 4096: 1024, 1 << 20: maxGateway} {
		// A connection, and for each call one more and one to Coder.
		if got := gatewayShare(descriptors); got != want || 3*got >= descriptors {
			t.Errorf("%d of %d", got, descriptors)
		}
	}
}

// Where sign-ins come in at the same port, half of its connections stays theirs.
func TestGatewayLeavesRoomForSignIns(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]int{"": sharedGateway, ":8790": maxGateway} {
		s := &server{Options: Options{Config: config.Config{Gateway: config.Gateway{Addr: addr}}}}
		if got := s.gatewayLimits().All; got > want || got == 0 {
			t.Errorf("%q: %d, want %d at most", addr, got, want)
		}
	}
}
