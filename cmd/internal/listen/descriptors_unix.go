//go:build unix

package listen

import (
	"math"

	"golang.org/x/sys/unix"
)

// Descriptors returns how many files and connections this process may have open. Go has raised it to the hard limit.
func Descriptors() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxInt32
	}
	return int(min(limit.Cur, math.MaxInt32))
}
