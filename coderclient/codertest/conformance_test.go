package codertest_test

import (
	"strings"
	"testing"

	"coderhook/coderclient/codertest"
)

// recorded are the servers of testdata/coder and what stands for each.
var recorded = map[string]struct {
	profile codertest.Profile
	options []codertest.Option
	steps   map[string]func(*replay)
}{
	"v2.0.2":  {codertest.Profile2023, []codertest.Option{codertest.Oldest()}, oldSteps},
	"v2.13.5": {codertest.Profile2023, nil, oldSteps},
	"v2.31.3": {codertest.ProfileV231, nil, oldSteps},
	"v2.36.0": {codertest.ProfileNew, nil, newSteps},
}

// uncovered lists by reason what the fake answers otherwise than the real server did. An exchange that it does answer
// alike may not be listed.
var uncovered = map[string][]string{
	"members of organizations: the default organization is enough for everything else": {
		"v2.13.5/640-old-org-members",
		"v2.13.5/641-old-org-members-add",
	},
	"one-time passcodes: nobody logs in": {
		"v2.36.0/851-upgrade-after-request-otp",
	},
}

// TestConformance replays every recorded exchange, in order, and compares status, headers, fields and texts.
func TestConformance(t *testing.T) {
	t.Parallel()
	for version, server := range recorded {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			rp := newReplay(t, version, server.profile, server.options)
			covered := 0
			for _, x := range rp.exchanges {
				if step := server.steps[x.Name]; step != nil {
					step(rp)
				}
				faults := rp.faults(x)
				reason := whyUncovered(version + "/" + x.Name)
				switch {
				case reason == "" && len(faults) > 0:
					t.Errorf("%s: %s %s:\n\t%s", x.Name, x.Method, x.Path, strings.Join(faults, "\n\t"))
				case reason != "" && len(faults) == 0:
					t.Errorf("%s passes but is listed as uncovered (%s)", x.Name, reason)
				case reason == "":
					covered++
				}
			}
			t.Logf("%d of %d exchanges", covered, len(rp.exchanges))
		})
	}
}

func whyUncovered(exchange string) string {
	for reason, list := range uncovered {
		for _, name := range list {
			if name == exchange {
				return reason
			}
		}
	}
	return ""
}

// TestUncoveredExist keeps misspelt names out of the list.
func TestUncoveredExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for version := range recorded {
		for _, x := range readExchanges(t, version) {
			known[version+"/"+x.Name] = true
		}
	}
	for _, list := range uncovered {
		for _, name := range list {
			if !known[name] {
				t.Errorf("%s is not recorded", name)
			}
		}
	}
}
