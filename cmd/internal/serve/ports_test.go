package serve

import "testing"

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
