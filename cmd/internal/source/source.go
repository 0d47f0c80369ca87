// Package source builds this module's programs, for those that run them.
package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Root is the folder of the module that this program was started in.
func Root(ctx context.Context) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	file := strings.TrimSpace(string(mod))
	if err != nil || filepath.Base(file) != "go.mod" {
		return "", errors.New("run this from the folder of coderhook's source")
	}
	return filepath.Dir(file), nil
}

// Build makes the binary of a package of the module, with no C in it, as coderhook is shipped.
func Build(ctx context.Context, root, pkg, binary string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, pkg)
	build.Dir, build.Stderr = root, os.Stderr
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := build.Run(); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	return nil
}
