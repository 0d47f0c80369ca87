package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Root returns the folder of the module that this program was started in.
func Root(ctx context.Context) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	file := strings.TrimSpace(string(mod))
	if err != nil || filepath.Base(file) != "go.mod" {
		return "", errors.New("run this from the folder of coderhook's source")
	}
	return filepath.Dir(file), nil
}

// Build makes the binary of a package as coderhook is shipped: without C. The package is named as seen from dir.
func Build(ctx context.Context, dir, pkg, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, pkg)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	return nil
}

// BuildHere makes the binary with the flags of `go run`, so that nothing is compiled twice. Each package that is
// compiled, and each module that is fetched, is told meanwhile: the first time takes minutes.
func BuildHere(ctx context.Context, dir, pkg, binary string, tell func(what string)) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-o", binary, pkg)
	cmd.Dir = dir
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	var text strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		tell(lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, text.String())
	}
	return nil
}

// BuildForRaces makes the binary with the race detector where that can be built, and else as Build does.
func BuildForRaces(ctx context.Context, dir, pkg, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-race", "-o", binary, pkg)
	cmd.Dir = dir
	if cmd.Run() == nil {
		return nil
	}
	return Build(ctx, dir, pkg, binary) // without a C compiler; any other fault is reported by this one
}
