package main

import (
	"errors"
	"testing"
)

// A mutant whose text is no longer in the code breaks nothing, and would prove nothing.
func TestMutantsFitTheCode(t *testing.T) {
	t.Parallel()
	for _, m := range mutants {
		if _, err := m.apply("../../.."); err != nil {
			t.Errorf("%s: %v", m.rule, err)
		}
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	bad := errors.New("exit status 1")
	for name, test := range map[string]struct {
		output  string
		err     error
		noticed string
	}{
		"noticed":          {"--- FAIL: TestA (0.0s)\n    --- FAIL: TestA/b (0.0s)\n--- FAIL: TestC (1s)\nFAIL\n", bad, "TestA, TestC"},
		"lives on":         {"ok  \tcoderhook/hook\t0.1s\n", nil, ""},
		"no such test":     {"ok  \tcoderhook/hook\t0.1s [no tests to run]\n", nil, ""},
		"does not compile": {"FAIL\tcoderhook/hook [build failed]\n", bad, ""},
		"hangs":            {"panic: test timed out after 1m0s\n", bad, "a test that did not end"},
	} {
		noticed, err := verdict(test.output, test.err)
		if noticed != test.noticed || (err == nil) != (noticed != "") {
			t.Errorf("%s: %q, %v", name, noticed, err)
		}
	}
}
