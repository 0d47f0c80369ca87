package main

import (
	"testing"
	"time"

	"coderhook/cmd/internal/selfsigned"
)

func writePair(t *testing.T, dir, name string) {
	t.Helper()
	writePairUntil(t, dir, name, time.Now().Add(time.Hour))
}

func writePairUntil(t *testing.T, dir, name string, end time.Time) {
	t.Helper()
	if _, err := selfsigned.Write(dir, name, end); err != nil {
		t.Fatal(err)
	}
}
