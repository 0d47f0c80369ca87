package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"coderhook/cmd/internal/bench/load"
)

// results are what was measured, as lines for benchstat and by name.
type results struct {
	out     io.Writer
	text    bytes.Buffer
	machine string
	date    time.Time
	samples map[sample][]float64
}

// sample names what is measured, without "Benchmark", and its unit.
type sample struct{ name, unit string }

type metric struct {
	value float64
	unit  string
}

func newResults(ctx context.Context, w *world, out io.Writer) *results {
	r := &results{machine: machine(), date: time.Now(), samples: make(map[sample][]float64)}
	r.out = io.MultiWriter(out, &r.text)
	fmt.Fprintf(r.out, "goos: %s\ngoarch: %s\ncpu: %s\npkg: coderhook/cmd/internal/bench\n", runtime.GOOS, runtime.GOARCH, r.machine)
	return r
}

// add notes one measurement.
func (r *results) add(name string, n int, metrics ...metric) {
	line := fmt.Sprintf("Benchmark%s %d", name, n)
	for _, m := range metrics {
		line += fmt.Sprintf(" %.0f %s", m.value, m.unit)
		at := sample{name, m.unit}
		r.samples[at] = append(r.samples[at], m.value)
	}
	fmt.Fprintln(r.out, line)
}

// The units of a round.
const (
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
		metric{float64(result.Took) / float64(result.Mints), "ns/op"}, metric{result.PerSecond(), unitMints},
		quantile(.5, unitP50), quantile(.99, unitP99), quantile(.999, unitP999), quantile(1, unitMax))
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

// benchHandler runs the benchmark of the handler alone, without SQL and network.
func benchHandler(ctx context.Context, root string, o options, r *results) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkHandler$",
		"-benchtime", o.round.String(), "-count", strconv.Itoa(o.rounds), "./hook")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("the handler's benchmark: %w: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if err := r.read(strings.Fields(line)); err != nil {
			return fmt.Errorf("the handler's benchmark: %w: %s", err, line)
		}
	}
	return nil
}

// read takes a line of `go test -bench`; other lines are passed over.
func (r *results) read(fields []string) error {
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return nil
	}
	n, err := strconv.Atoi(fields[1])
	if err != nil {
		return err
	}
	var metrics []metric
	for pair := range slices.Chunk(fields[2:], 2) {
		value, err := strconv.ParseFloat(pair[0], 64)
		if err != nil || len(pair) < 2 {
			return fmt.Errorf("not a value with its unit: %q", pair)
		}
		metrics = append(metrics, metric{value, pair[1]})
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(fields[0], "Benchmark"), "-") // without GOMAXPROCS
	r.add(name, n, metrics...)
	return nil
}

// machine names processor, cores and system.
func machine() string {
	model := runtime.GOARCH
	if file, err := os.Open("/proc/cpuinfo"); err == nil {
		defer file.Close()
		scanner := bufio.NewScanner(file)
		for scanner.Scan() {
			if name, value, ok := strings.Cut(scanner.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores", model, runtime.NumCPU())
}

func (r *results) write(root string) error { return nil }
