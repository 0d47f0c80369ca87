package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// The image's build, as far as it goes without an engine: the Dockerfile's own command, on no other
// files than .dockerignore lets through, makes a program that needs nothing but itself.
func TestDockerfileBuildsAStaticProgram(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the image is for Linux")
	}
	dockerfile := contentOf(t, "../../Dockerfile")
	command := regexp.MustCompile(`(?m)^RUN (.*go build.*)$`).FindStringSubmatch(dockerfile)
	if command == nil || !strings.Contains(dockerfile, "\nFROM scratch\n") || !strings.Contains(dockerfile, "\nUSER 65532:65532\n") {
		t.Fatal("the Dockerfile has no build, or not an empty image with a user")
	}
	dir, binary := t.TempDir(), filepath.Join(t.TempDir(), "coderhook")
	copyContext(t, dir)
	build := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(command[1], "-o /coderhook", "-o "+binary, 1))
	build.Dir, build.Env = dir, append(os.Environ(), "VERSION=v1.2.3", "COMMIT=0123abc")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), binary, "version").Output(); err != nil || !strings.HasPrefix(string(out), "coderhook v1.2.3 (0123abc) ") {
		t.Errorf("got %q, %v", out, err)
	}
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 || file.Section(".interp") != nil {
		t.Errorf("not static: %v, %v", libraries, err)
	}
}

// copyContext copies what .dockerignore, a list of exceptions from *, lets through.
func copyContext(t *testing.T, to string) {
	t.Helper()
	const root = "../.."
	for line := range strings.Lines(contentOf(t, root+"/.dockerignore")) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "!")
		if !ok {
			continue
		}
		err := filepath.WalkDir(filepath.Join(root, name), func(file string, entry os.DirEntry, err error) error {
			if ignored, _ := path.Match("*_test.go", entry.Name()); err != nil || entry.IsDir() || ignored {
				return err
			}
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			target := filepath.Join(to, strings.TrimPrefix(filepath.ToSlash(file), root))
			if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
				return err
			}
			return os.WriteFile(target, content, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// systemd itself reads the unit, with a program that is there.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	unit := contentOf(t, "../../testdata/ops/coderhook.service")
	const start = "ExecStart=coderhook " // systemd looks in /usr/local/bin and /usr/bin
	if !strings.Contains(unit, start+"serve\n") {
		t.Fatal("the unit does not start the server")
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip(err)
	}
	file := filepath.Join(t.TempDir(), "coderhook.service")
	if err := os.WriteFile(file, []byte(strings.Replace(unit, start, "ExecStart=/bin/true ", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", file).CombinedOutput(); err != nil || strings.Contains(string(out), "coderhook.service") {
		t.Errorf("%v: %s", err, out)
	}
	// From 0 to 10, here in tenths: what an attacker who runs code in it could reach.
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=19", file).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if !strings.Contains(unit, "\nLimitCORE=0\n") {
		t.Error("a dump of its memory would hold keys and secrets")
	}
}

func contentOf(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
