package ops

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const root = "../.."

// program is coderhook, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "coderhook-ops")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "coderhook")
	build := exec.Command("go", "build", "-o", binary, "./cmd/coderhook")
	build.Dir, build.Stderr = root, os.Stderr
	return binary, build.Run()
})

func TestMain(m *testing.M) {
	status := m.Run()
	if binary, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(binary))
	}
	os.Exit(status)
}

// contents are of the files that variables with _FILE name.
var contents = map[string]string{
	"database-url": "postgres://coderhook:x@127.0.0.1:1/postgres", "hook-secrets": "v1,whsec_3v1ZC4p0qYJx8m2Tn6sQwR9uXkLbHgEf",
	"ledger-secret": "VtZ0m3xq8c1Rj5Yw7Ua2Kd9Ge4Lh6Pb0", "owner-token": "AbCdEfGhIj-0123456789012345678901",
	"routes": "refuse * /api/v2/files/**\n",
}

// mustStart asks the program itself whether it would start with these variables. Files that they name are put where
// it can read them.
func mustStart(t *testing.T, variables map[string]string) {
	t.Helper()
	dir := t.TempDir()
	var env []string
	for name, value := range variables {
		if base := filepath.Base(value); strings.HasSuffix(name, "_FILE") && contents[base] != "" {
			value = filepath.Join(dir, base)
			if err := os.WriteFile(value, []byte(contents[base]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		env = append(env, name+"="+value)
	}
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	doctor := exec.CommandContext(t.Context(), binary, "doctor", "--json")
	doctor.Env = env
	out, _ := doctor.Output() // it fails, as nothing of what it looks at is there
	var report struct {
		Checks []struct{ Check, Result, Found string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	good := false
	for _, check := range report.Checks {
		good = good || check.Check == "variables" && check.Result == "ok"
		if strings.HasPrefix(check.Check, "variable ") {
			t.Errorf("%s: %s", check.Check, check.Found)
		}
	}
	if !good {
		t.Errorf("the variables are not taken: %s", out)
	}
}
