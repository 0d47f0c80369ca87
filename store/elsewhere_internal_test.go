package store

import (
	"net"
	"net/netip"
	"testing"
)

func TestElsewhere(t *testing.T) {
	t.Parallel()
	own := []net.Addr{&net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: net.CIDRMask(8, 32)}, &net.IPNet{IP: net.IPv4(10, 0, 0, 5), Mask: net.CIDRMask(24, 32)}}
	for _, test := range []struct {
		dialled, answers string
		want             bool
	}{
		{"127.0.0.1", "127.0.0.1", false},
		{"10.0.0.5", "10.0.0.5", false},
		{"::1", "::1", false},
		{"127.0.0.1", "", false},          // a pooler in between, and a socket
		{"127.0.0.1", "172.18.0.2", true}, // a container's published port
		{"10.0.0.5", "172.18.0.2", true},
		{"10.0.0.6", "10.0.0.6", true},
	} {
		var answers *netip.Addr
		if test.answers != "" {
			address := netip.MustParseAddr(test.answers)
			answers = &address
		}
		if got := elsewhere(netip.MustParseAddr(test.dialled), answers, own); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
