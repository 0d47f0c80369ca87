package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"time"

	"coderhook/cmd/internal/bench/load"
)

// results are what was measured, as lines for benchstat and by name.
type results struct {
	out     io.Writer
	text    bytes.Buffer
	machine string
	date    string
	samples map[sample][]float64
}

// sample names what is measured, without "Benchmark", and its unit.
type sample struct{ name, unit string }

type metric struct {
	value float64
	unit  string
}

func newResults(out io.Writer) *results {
	r := &results{machine: machine(), date: time.Now().Format(time.DateOnly), samples: make(map[sample][]float64)}
	r.out = io.MultiWriter(out, &r.text)
	fmt.Fprintf(r.out, "goos: %s\ngoarch: %s\ncpu: %s\ndate: %s\npkg: coderhook/cmd/internal/bench\n",
		runtime.GOOS, runtime.GOARCH, r.machine, r.date)
	return r
}

// add notes one measurement.
func (r *results) add(name string, n int, metrics ...metric) {
	line := fmt.Sprintf("Benchmark%s %d", name, n)
	for _, m := range metrics {
		value := math.Round(m.value) // as it is written, so that the lines alone give the same table
		line += fmt.Sprintf(" %.0f %s", value, m.unit)
		at := sample{name, m.unit}
		r.samples[at] = append(r.samples[at], value)
	}
	fmt.Fprintln(r.out, line)
}

// The names of what is measured of coderhook alone.
const (
	startName   = "Start/server=coderhook"
	memoryName  = "Memory/server=coderhook"
	handlerName = "Handler"
)

// The units, as benchstat knows them where it does.
const (
	unitTime   = "ns/op"
	unitAllocs = "allocs/op"
	unitSize   = "RSS-bytes"
	unitCount  = "mints"

	unitMints = "mints/s"
	unitP50   = "p50-ns"
	unitP99   = "p99-ns"
	unitP999  = "p99.9-ns"
	unitMax   = "max-ns"
)

func mintName(server string, conns int) string {
	return fmt.Sprintf("Mint/server=%s/conns=%d", server, conns)
}

func (r *results) addMints(server string, conns int, result load.Result) {
	quantile := func(share float64, unit string) metric { return metric{float64(result.Quantile(share)), unit} }
	r.add(mintName(server, conns), result.Mints,
		metric{float64(result.Took) / float64(result.Mints), unitTime}, metric{result.PerSecond(), unitMints},
		quantile(.5, unitP50), quantile(.99, unitP99), quantile(.999, unitP999), quantile(1, unitMax))
}

// longest is how long the slowest answer of all turns took, in nanoseconds.
func (r *results) longest(name string) float64 {
	values := r.samples[sample{name, unitMax}]
	if len(values) == 0 {
		return 0
	}
	return slices.Max(values)
}

// median is 0 where nothing was measured.
func (r *results) median(name, unit string) float64 {
	values := slices.Sorted(slices.Values(r.samples[sample{name, unit}]))
	if len(values) == 0 {
		return 0
	}
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}
