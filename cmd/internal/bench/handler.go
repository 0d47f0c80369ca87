package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

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
