package serve

import "runtime/debug"

// heapGrowth is how many percent the heap may grow before garbage is collected. What lives on between mints is
// small, so that Go's own 100 collects every few hundred mints: some ten MiB more save most of that work.
const heapGrowth = 400

// calmMemory is from how many bytes on garbage is collected more often than that: only strangers make us need so much,
// and then it must not be five times what they hold.
const calmMemory = 80 << 20

// spendMemory leaves it to the operator where Go's own variables are set.
func spendMemory(getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(calmMemory)
	}
}
