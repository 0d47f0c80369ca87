package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// measured is what was written by the last bench.
func measured(t *testing.T) *results {
	t.Helper()
	r := newResults(io.Discard)
	for line := range strings.Lines(file(t, "testdata/bench/results.txt")) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ": "); name {
		case "cpu":
			r.machine = value
		case "date":
			r.date = value
		}
		if err := r.read(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// Both READMEs and the plot show what was measured, and nobody has touched them up.
func TestResultsAreThoseMeasured(t *testing.T) {
	t.Parallel()
	r := measured(t)
	plot, err := r.plot()
	if err != nil {
		t.Fatal(err)
	}
	if file(t, "testdata/bench/results.svg") != plot {
		t.Error("results.svg is not of results.txt")
	}
	for name, part := range r.texts() {
		text := file(t, name)
		if again, err := replaceWritten(text, part); err != nil || again != text {
			t.Errorf("%s does not have what results.txt says (%v):\n%s", name, err, part)
		}
	}
}

func TestPlotIsXML(t *testing.T) {
	t.Parallel()
	plot, err := measured(t).plot()
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(strings.NewReader(plot)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	r := newResults(io.Discard)
	for _, value := range []float64{9, 1, 2} {
		r.add("A", 1, metric{value, unitTime})
	}
	if got := r.median("A", unitTime); got != 2 {
		t.Errorf("of three: %v", got)
	}
	r.add("A", 1, metric{3, unitTime})
	if got := r.median("A", unitTime); got != 2.5 {
		t.Errorf("of four: %v", got)
	}
	if got := r.median("B", unitTime); got != 0 {
		t.Errorf("of none: %v", got)
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]string{0: "0", 999.4: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(value); got != want {
			t.Errorf("%v: %s", value, got)
		}
	}
}
