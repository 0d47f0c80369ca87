package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"coderhook/store"

	"github.com/rs/zerolog"
)

const (
	// followInterval is how often DATABASE_URL_FILE is looked at, beside every new connection.
	followInterval = 5 * time.Second
	// renewTimeout bounds the try of a new URL.
	renewTimeout = 5 * time.Second
)

// longestURL bounds what is read of a file, which somebody may mistake for another one.
const longestURL = 64 << 10

// rereadURL reads the file of the database's URL; nil where there is none.
func rereadURL(path string) func() (string, error) {
	if path == "" {
		return nil
	}
	return func() (string, error) {
		content, err := readSome(path)
		if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
			err = wrapped.Err // without the path: some put the secret itself there
		}
		if err != nil {
			return "", err
		}
		v := &variables{}
		return v.bare("DATABASE_URL_FILE", string(content)), v.err()
	}
}

// readSome reads a regular file that is not too long. New connections wait for it, and a pipe that nobody
// writes to would never end.
func readSome(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > longestURL {
		return nil, errors.New("not a regular file of at most 64 KiB")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, longestURL))
}

// urlFollower moves the connections to where DATABASE_URL_FILE points by now.
type urlFollower struct {
	database *store.Store
	log      zerolog.Logger
	faulty   bool // the last try failed, which was logged
}

// run follows until ctx ends.
func (f *urlFollower) run(ctx context.Context) {
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.follow(ctx)
		}
	}
}

func (f *urlFollower) follow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	renewed, err := f.database.Renew(ctx)
	if errors.Is(err, context.Canceled) {
		return
	}
	if err != nil && !f.faulty {
		f.log.Error().Err(err).Msg("what is in DATABASE_URL_FILE can't be used: going on with the connections that there are")
	}
	f.faulty = err != nil
	if renewed {
		f.log.Info().Msg("DATABASE_URL_FILE read again: all connections are replaced")
	}
}
