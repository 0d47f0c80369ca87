package load

import (
	"slices"
	"time"
)

// Result is what one round came to.
type Result struct {
	Mints int
	Took  time.Duration // all of them together
	times []time.Duration
}

func newResult(parts []part, took time.Duration) Result {
	times := slices.Concat(parts...)
	slices.Sort(times)
	return Result{len(times), took, times}
}

// PerSecond is how many tokens were minted in a second.
func (r Result) PerSecond() float64 { return float64(r.Mints) / r.Took.Seconds() }

// Quantile is the time within which that share of the answers came: 1 gives the longest. It is 0 without answers.
func (r Result) Quantile(share float64) time.Duration {
	if len(r.times) == 0 {
		return 0
	}
	return r.times[min(int(share*float64(len(r.times))), len(r.times)-1)]
}
