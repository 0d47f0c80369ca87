package serve

import (
	"context"
	"errors"
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
