package doctor

import (
	"strings"
	"testing"
	"time"
)

// Tests stay on this machine, so what is said of other machines is asked for without them.
func TestDoctorOnUnencryptedTraffic(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]int{"http://coder.example.com": 1, "https://coder.example.com": 0, "http://127.0.0.1:3000": 0} {
		d := &Doctor{}
		d.config.Coder.URL = address
		if d.checkTransport(); d.Count(Warning) != want {
			t.Errorf("%s: %+v", address, d.Findings)
		}
	}
	for _, wire := range []struct{ encrypted, local, warned bool }{{false, false, true}, {true, false, false}, {false, true, false}} {
		d := &Doctor{}
		if d.judgeWire(wire.encrypted, wire.local); (d.Count(Warning) > 0) != wire.warned {
			t.Errorf("%+v: %+v", wire, d.Findings)
		}
	}
}

// A secret that can't sign is said, not passed over.
func TestDoctorTellsWhyItCannotSign(t *testing.T) {
	t.Parallel()
	d := &Doctor{URL: "http://127.0.0.1:1/"}
	if _, err := d.call(t.Context(), nil, "x", time.Now()); err == nil || !strings.Contains(err.Error(), "must look like") {
		t.Errorf("got %v", err)
	}
}

func TestWhatAVersionOfCoderImplies(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"v2.0.2":              "new users have the login type none; every use of a key moves its end; keys live for 30 days by default",
		"v2.29.17":            "moves its end",
		"v2.29.18+abc":        "end is fixed",
		"v2.31.3":             "moves its end; keys live for 7 days by default, those of owners",
		"v2.34.3":             "end is fixed",
		"v2.35.0":             "login type none; a key's end is fixed",
		"v2.36.0-devel+abc":   "password that nobody knows",
		"v3.0.0":              "password that nobody knows, as login type none is refused; a key's end is fixed",
		"something different": "not known",
	} {
		if got := parseCoderVersion(version).implies(); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}
