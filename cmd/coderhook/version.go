package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version = "dev"

// commit is set likewise, where the build does not see the repository: -X main.commit=…
var commit = ""

type versionCmd struct{}

// Run prints the version, the commit it was built from, and Go's version.
func (versionCmd) Run(env *environment) error {
	_, err := fmt.Fprintf(env.stdout, "coderhook %s (%s) %s %s/%s\n", version, builtFrom(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// builtFrom returns the commit, as the build was told or as Go noted it.
func builtFrom() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown commit"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "unknown commit"
}
