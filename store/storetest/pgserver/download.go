package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

const downloadVersion = embeddedpostgres.V17

// download returns the folder of downloaded binaries, from the cache if they are there.
func download(ctx context.Context, o Options) (string, error) {
	cache, err := cacheDir(o)
	if err != nil {
		return "", err
	}
	root := filepath.Join(cache, "postgresql-"+string(downloadVersion))
	if complete(filepath.Join(root, "bin")) {
		return filepath.Join(root, "bin"), nil
	}
	done := make(chan error, 1)
	go func() { done <- fetch(o.RepositoryURL, cache, root) }()
	select {
	case err = <-done:
	case <-ctx.Done(): // the library cannot be stopped; what it brings serves the next start
		err = context.Cause(ctx)
	}
	return filepath.Join(root, "bin"), err
}

// fetch fills root. Whoever sees root sees all of it, also while several
// programs fetch at once.
func fetch(repository, cache, root string) error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	fetched := filepath.Join(work, "postgresql")
	if err := extract(repository, cache, work, fetched); err != nil {
		return err
	}
	if err := os.Rename(fetched, root); err != nil && !complete(filepath.Join(root, "bin")) {
		return err
	}
	return nil
}

// extract has embedded-postgres download and unpack its archive. The only way to
// that is to start its server too, which as root, and with sockets where we may
// not write, does not succeed: what counts is whether the programs are there.
func extract(repository, cache, work, dir string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	config := embeddedpostgres.DefaultConfig().
		Version(downloadVersion).
		Port(uint32(port)).
		CachePath(cache).
		BinariesPath(dir).
		RuntimePath(filepath.Join(work, "runtime")).
		Logger(io.Discard)
	if repository != "" {
		config = config.BinaryRepositoryURL(repository)
	}
	server := embeddedpostgres.NewDatabase(config)
	err = server.Start()
	if err == nil {
		err = server.Stop()
	}
	if complete(filepath.Join(dir, "bin")) {
		return nil
	}
	if err == nil {
		err = errors.New("initdb or postgres is missing in the archive")
	}
	return fmt.Errorf("embedded-postgres: %w", err)
}

// cacheDir is where downloads stay. As root the home directory is no place for
// programs that another user will run.
func cacheDir(o Options) (string, error) {
	if o.CacheDir != "" {
		return o.CacheDir, nil
	}
	if runtime.GOOS != "windows" && os.Geteuid() == 0 {
		return "/var/cache/coderhook", nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "coderhook"), err
}
