// Command mutate breaks, one after the other, the rules that matter most, and runs the tests that
// should notice. It prints which did. A rule that can be broken without a test's notice is a failure.
// With an argument it tries those whose rule contains it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"coderhook/cmd/internal/process"
)

func main() {
	root, err := process.Root(context.Background())
	if err == nil {
		err = run(root, strings.Join(os.Args[1:], " "))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run tries the mutants of the module at root whose rule contains some text. Its error joins those of the mutants that live on.
func run(root, some string) error {
	if !slices.ContainsFunc(mutants, func(m mutant) bool { return strings.Contains(m.rule, some) }) {
		return fmt.Errorf("there is no rule with %q in it", some)
	}
	faults := make([]error, len(mutants))
	slots := make(chan struct{}, max(1, runtime.NumCPU()/2))
	var all sync.WaitGroup
	for i, m := range mutants {
		if !strings.Contains(m.rule, some) {
			continue
		}
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			noticed, err := m.try(root)
			if err != nil {
				faults[i] = fmt.Errorf("%s: %w", m.rule, err)
				noticed = "NOBODY"
			}
			fmt.Printf("%-45s %s\n", m.rule, noticed)
		})
	}
	all.Wait()
	return errors.Join(faults...)
}

// try runs the tests with the mutant in the file's place, and returns the names of those that failed.
// The module itself is not touched: the compiler is told to read another file.
func (m mutant) try(root string) (noticed string, err error) {
	broken, err := m.apply(root)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(root, dir, broken)
	if err != nil {
		return "", err
	}
	if output, err := m.test(root); err != nil {
		return "", fmt.Errorf("fails without the mutant, too: %w\n%s", err, output)
	}
	output, err := m.test(root, "-overlay="+overlay)
	return verdict(string(output), err)
}

func (m mutant) test(root string, flags ...string) (output []byte, err error) {
	args := append([]string{"test", "-short", "-timeout=1m", "-run=" + m.tests}, flags...)
	test := exec.Command("go", append(args, m.packages())...)
	test.Dir = root
	return test.CombinedOutput()
}

// packages are those whose tests may notice: the servers in hook's tests run what is in the packages below it.
func (m mutant) packages() string {
	if strings.HasPrefix(m.file, "hook/") {
		return "./hook/..."
	}
	return "./" + filepath.Dir(m.file)
}

// apply returns the file's text with the rule broken.
func (m mutant) apply(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("%s has this text %d times and not once: change the mutant with the code:\n%s", m.file, n, m.old)
	}
	return strings.Replace(string(text), m.old, m.new, 1), nil
}

// overlay writes what go's option of that name wants.
func (m mutant) overlay(root, dir, broken string) (string, error) {
	file, list := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, m.file): file}})
	if err != nil {
		return "", err
	}
	return list, os.WriteFile(list, text, 0o600)
}

var (
	failed = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)
	ran    = regexp.MustCompile(`(?m)^ok\s+\S+\s+\S+$`) // a package with a test of that name
)

// verdict reads the output of go test.
func verdict(output string, err error) (noticed string, _ error) {
	var names []string
	for _, match := range failed.FindAllStringSubmatch(output, -1) {
		names = append(names, match[1])
	}
	switch {
	case err == nil && !ran.MatchString(output):
		return "", errors.New("there is no test of that name")
	case err == nil:
		return "", errors.New("lives on: no test noticed")
	case len(names) == 0 && strings.Contains(output, "panic: test timed out"):
		return "a test that did not end", nil
	case len(names) == 0:
		return "", fmt.Errorf("not tried: %w\n%s", err, output)
	}
	return strings.Join(names, ", "), nil
}
