package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A build of minutes is not silent, and one of nothing is.
func TestProgressIsToldNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		tell := (&report{w: &out}).progress("compiling")
		for range 10 {
			tell("fast")
		}
		if out.Len() > 0 {
			t.Errorf("at once: %q", out.String())
		}
		time.Sleep(progressEvery)
		tell("slow")
		tell("slower")
		if want := "  compiling          3s  11 packages so far, now slow\n"; out.String() != want {
			t.Errorf("got %q, want %q", out.String(), want)
		}
	})
}
